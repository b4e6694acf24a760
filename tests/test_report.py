"""The command gradlab-report."""

import shutil
import subprocess
import sys

import pytest

from gradlab import report


def test_help_comes_at_once_and_nothing_here_needs_torch(write_run):
    code = (
        "import sys; from gradlab import report; heavy = {'torch', 'pandas', 'matplotlib', 'hydra'};"
        "assert not heavy & set(sys.modules);"
        f"sys.argv = ['gradlab-report', {str(write_run())!r}]\n"
        "try: report.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_of_gradients_alone_is_drawn(write_run):
    folder = write_run()
    (folder / "metrics.csv").unlink()
    (folder / "run.json").unlink()
    assert report.redraw([folder]) == {}
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        "gradient_flow", "gradient_heatmap", "update_ratio"
    }  # fmt: skip


def test_broken_runs_are_named_and_the_others_drawn(write_run, tmp_path, monkeypatch, capsys):
    good, bad = write_run(name="good"), write_run(name="bad")
    with (bad / "gradients.csv").open("a") as file:
        file.write("1,2\n")
    monkeypatch.setattr(sys, "argv", ["gradlab-report", str(bad), str(good)])
    with pytest.raises(SystemExit) as end:
        report.main()
    assert end.value.code == 1
    assert "bad: skipped: " in capsys.readouterr().err
    assert (good / "figures" / "loss.png").exists()
    shutil.rmtree(bad)
    monkeypatch.setattr(sys, "argv", ["gradlab-report", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        report.main()
    assert not end.value.code


def test_a_folder_without_runs_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    for folder in (tmp_path / "missing", tmp_path):
        monkeypatch.setattr(sys, "argv", ["gradlab-report", str(folder)])
        with pytest.raises(SystemExit) as end:
            report.main()
        assert end.value.code == 1
        assert capsys.readouterr().err.count("\n") == 1
