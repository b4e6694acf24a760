"""Text that leaves gradlab: nothing in it acts on a terminal, a spreadsheet or a reader of XML."""

import io
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gradlab.artifacts.junit import write_junit
from gradlab.borders import markdown_cell, read_cell, table_cell, visible, visible_line
from gradlab.sweep.summary import _line
from gradlab.view.layer_table import layer_table
from tests.support.made_up import make_run

ODD = "\x1b[31m=1\x00\r\u202e\ud800 [/in] <b> a|b"


@given(st.text())
def test_no_control_character_is_left(text):
    shown = visible(text)
    assert all(character.isprintable() or character in "\n\t" or ord(character) > 127 for character in shown)
    shown.encode("utf-8")
    ElementTree.fromstring(f"<a>{shown.replace('&', '&amp;').replace('<', '&lt;')}</a>")
    assert "\n" not in visible_line(text)


def test_what_is_printable_is_unchanged():
    assert visible("λ = 0.5 ≈ 3\t日本\n") == "λ = 0.5 ≈ 3\t日本\n"
    assert visible("\x1b[2J\x7f\x85") == r"\x1b[2J\x7f\x85"


@pytest.mark.parametrize("formula", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1"])
def test_a_cell_is_no_formula(formula):
    assert table_cell(formula)[0] in "'\\"
    assert "\t" in formula or read_cell(table_cell(formula)) == formula


@pytest.mark.parametrize("text", ["-1", "+0.5", "-1e-5", "-inf", "nan", "1.", ".5", "relu", "", "layers.0"])
def test_numbers_and_plain_texts_stay_as_they_are(text):
    assert table_cell(text) == text


def test_a_summary_has_one_line_for_each_run():
    assert _line(["a\rb", "=1", "-2", "c\nd"]) == "a\\rb,'=1,-2,c\\nd\n"


def test_a_junit_file_of_any_error_is_well_formed(tmp_path):
    write_junit(tmp_path / "junit.xml", {ODD: {"status": "failed", "error": ODD}})
    case = next(ElementTree.parse(tmp_path / "junit.xml").iter("testcase"))
    assert r"\x1b[31m" in case.attrib["name"]
    assert r"\x00" in (case[0].text or "")


def test_a_layer_with_the_name_of_a_style_is_printed_as_it_is(tmp_path):
    run = make_run(tmp_path / "run")
    table = run / "gradients.csv"
    table.write_text(table.read_text().replace("layers.0", "[in]").replace("layers.1", "[/in]\x1b"))
    file = io.StringIO()
    Console(file=file, width=120).print(layer_table(run))
    assert "[in]" in file.getvalue()
    assert r"[/in]\x1b" in file.getvalue()


def test_a_markdown_cell_holds_no_markup():
    assert markdown_cell("a|b <i> `c` leaky_relu") == r"a\|b \<i\> \`c\` leaky_relu"


@pytest.mark.skipif(os.name == "nt", reason="file descriptors of POSIX")
def test_files_of_a_process_without_standard_streams_get_other_numbers():
    code = (
        "import os, sys; from gradlab.borders import open_streams, print_line, flush_streams; open_streams();"
        "file = open('/dev/null'); assert file.fileno() > 2, file.fileno();"
        "print('x'); print('x', file=sys.stderr); print_line('x'); sys.stdout.isatty(); flush_streams(); os._exit(7)"
    )
    command = ["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
    assert subprocess.run(command, check=False).returncode == 7


@pytest.mark.parametrize("flag", ["--json", ""])
def test_a_closed_pipe_ends_a_command_quietly_after_an_error_too(flag):
    code = "import sys; from gradlab.cli.explain import main; sys.argv = ['x', 'nowhere', *sys.argv[1:]]; main()"
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", code, *([flag] if flag else [])]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode in (1, 141)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
