"""Run the examples of the verdict pages, and write their output, their figure and the effect of the remedies.

    uv run python scripts/docs_figures.py [NAME ...]

For each verdict of `docs_cases.CASES` the run is done in a temporary folder, then once more with each remedy. The
figure goes to docs/img/verdicts/NAME.png, the rest into docs/verdicts/NAME.md between the two comments that mark it.
The exit code is 1 if a run does not have its verdict.
"""

import json
import logging
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, TextIO

from hydra import compose, initialize_config_dir
from omegaconf import open_dict
from PIL import Image

from docs_cases import CASES, Case
from gradlab.config import schema
from gradlab.config.hydra_compat import INITIALIZE_OPTIONS
from gradlab.config.paths import CONFIGS
from gradlab.diagnosis.flow import FLOW
from gradlab.diagnosis.overrides import combined
from gradlab.run.execute import execute
from gradlab.view.figures import figure_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- begin: written by scripts/docs_figures.py -->", "<!-- end -->"
WIDTH = 900  # pixels of a figure
COLOURS = 64
FILE = re.compile(r"<!-- file: (?P<name>\S+) -->\n```python\n(?P<text>.*?)```\n", re.DOTALL)


def main() -> None:
    """Run the examples named on the command line, or all."""
    schema.register()
    wrong = [name for name in sys.argv[1:] or CASES if not write_page(name)]
    sys.exit(f"without their verdict: {', '.join(wrong)}" if wrong else 0)


def write_page(name: str) -> bool:
    """Write the measured part and the figure of a verdict's page.

    Args:
        name: The verdict.

    Returns:
        Whether the run has the verdict.
    """
    case, page = CASES[name], DOCS / "verdicts" / f"{name}.md"
    with tempfile.TemporaryDirectory() as scratch:
        for file in FILE.finditer(page.read_text(encoding="utf-8")):
            (Path(scratch) / file["name"]).write_text(file["text"], encoding="utf-8")
        folder = Path(scratch) / "outputs" / name
        printed, record = run(case.command, folder)
        save_figure(figure_of(folder, case.figure), DOCS / "img" / "verdicts" / f"{name}.png")
        blamed = [verdict["name"] for verdict in record["verdicts"] if verdict["root_cause"]]
        shown = console(case.command, printed, record, folder, name=name, whole=name not in (*blamed, *FLOW[:2]))
        parts = [shown, f"![{case.figure} of this run](../img/verdicts/{name}.png)"]
        rows = attempts(case, name, record, Path(scratch))
        parts += [table(case, record, rows)] if rows else []
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    body = "\n\n".join(["", *parts, ""]).replace("\n\n\n", "\n\n")
    page.write_text(f"{before}{BEGIN}{body}{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(name, blamed, sorted({verdict["name"] for verdict in record["verdicts"]}), flush=True)
    return name in {verdict["name"] for verdict in record["verdicts"]}


def run(command: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """Do a run, and return its output and its run.json.

    Args:
        command: Command as in `Case.command`.
        folder: The run's folder; a script runs two folders above, and writes to it by itself.
    """
    folder.mkdir(parents=True)
    printed = StringIO()
    if command.startswith("python "):
        folder.rmdir()
        found = subprocess.run(
            [sys.executable, *shlex.split(command)[1:]],
            cwd=folder.parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        printed.write(found.stdout)
    else:
        overrides = shlex.split(command)
        with initialize_config_dir(str(CONFIGS), **INITIALIZE_OPTIONS), redirect_stdout(printed), logged(printed):
            cfg = compose("config", [*overrides, "figures=false", "train.checkpoint=false"], return_hydra_config=True)
            choices = dict(cfg.hydra.runtime.choices)
            with open_dict(cfg):
                del cfg.hydra
            execute(cfg, folder, overrides=overrides, choices=choices)
    return printed.getvalue(), json.loads((folder / "run.json").read_text(encoding="utf-8"))


@contextmanager
def logged(stream: TextIO) -> Iterator[None]:
    """Send gradlab's log to a stream inside the block, as Hydra sends it to the terminal.

    Args:
        stream: The stream.
    """
    handler, log = logging.StreamHandler(stream), logging.getLogger("gradlab")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def console(command: str, printed: str, record: Mapping[str, Any], folder: Path, *, name: str, whole: bool) -> str:
    """Return a run's terminal session in Markdown, from its first verdict on.

    Args:
        command: Command as in `Case.command`.
        printed: The run's output.
        record: The run's run.json.
        folder: The run's folder.
        name: The verdict of the page.
        whole: Whether to add the output of `gradlab-explain`, because another verdict is the root cause.
    """
    script = command.startswith("python ")
    lines = printed.rstrip().split("\n")
    if not script:
        verdicts = [verdict["sentence"] for verdict in record["verdicts"] if verdict["when"] == "initial"]
        first = next(place for place, line in enumerate(lines) if any(line.endswith(words) for words in verdicts))
        lines = ["…", *lines[first:-1], "outputs/runs/…"]
    shown = [f"$ {command if script else f'gradlab {command}'}", *lines]
    if whole or script:
        environment = {**os.environ, "COLUMNS": "100"}
        tool = Path(sys.executable).parent / "gradlab-explain"
        said = subprocess.run([tool, folder], capture_output=True, text=True, check=True, env=environment).stdout
        place = f"outputs/{name}" if script else "outputs/runs/…"
        shown += [f"$ gradlab-explain {place}", "…", *_sections(said)]
    return "\n".join(["```console", *shown, "```"])


def _sections(said: str) -> list[str]:
    """Return the root cause's first lines and the consequences of what `gradlab-explain` prints."""
    kept, on = [], False
    for line in said.rstrip().split("\n"):
        if line.startswith(("ROOT CAUSE", "CONSEQUENCES")):
            on = True
        elif line.startswith(("GRADIENT FLOW", "  Remedies")):
            kept += ["…"] if on else []
            on = False
        kept += [line] if on else []
    return [line for line in kept if line]


def attempts(case: Case, name: str, record: Mapping[str, Any], scratch: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the label of each remedy that was tried, and the run.json of its run.

    Args:
        case: The example.
        name: The verdict of the page.
        record: The example's run.json.
        scratch: Folder for the runs.
    """
    if case.repaired:
        folder = scratch / "outputs" / f"{name}_repaired"
        return [(f"`{case.repaired}`", run(case.repaired, folder)[1])]
    verdicts = sorted(record["verdicts"], key=lambda verdict: (verdict["name"] != name, not verdict["remedies"]))
    named = [" ".join(remedy["overrides"]) for remedy in verdicts[0]["remedies"]][: case.best]
    tried = []
    for place, extra in enumerate(dict.fromkeys([*named, *case.also])):
        command = shlex.join(combined(shlex.split(case.command), shlex.split(extra)))
        tried.append((f"`{extra}`", run(command, scratch / f"try{place}")[1]))
    return tried


def table(case: Case, record: Mapping[str, Any], tried: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return before and after as a table in Markdown."""
    over = "time_" if "time_gradient_ratio_initial" in record["metrics"] else ""
    header = ["change", "root cause", "gradient ratio, step 0", "last", "train loss", "test loss", "test accuracy"]
    rows = [("as it is", record), *tried]
    cells = [[label, *_cells(one, over=over)] for label, one in rows]
    kept = [place for place in range(len(header)) if any(row[place] != "" for row in cells)]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join(f"| {' | '.join(line[place] for place in kept)} |" for line in lines)


def _cells(record: Mapping[str, Any], *, over: str) -> list[str]:
    metrics = record["metrics"]
    blamed = [verdict["name"] for verdict in record["verdicts"] if verdict["root_cause"]]
    ratios = [_short(metrics.get(f"{over}gradient_ratio_{when}")) for when in ("initial", "final")]
    if record["status"] == "diverged":
        return [_linked(blamed), *ratios, "diverged", "", ""]
    accuracy = metrics.get("eval_accuracy")
    losses = [_short(metrics.get(key), digits=3) for key in ("train_loss", "eval_loss")]
    return [_linked(blamed), *ratios, *losses, "" if accuracy is None else f"{float(accuracy):.3f}"]


def _linked(names: Sequence[str]) -> str:
    return f"[{names[0]}]({names[0]}.md)" if names else "none"


def _short(value: Any, *, digits: int = 2) -> str:
    return "" if value is None else f"{float(f'{float(value):.{digits}g}'):g}"


def save_figure(figure: Any, path: Path) -> None:
    """Save a matplotlib figure as a small PNG: few pixels, few colours.

    Args:
        figure: The figure.
        path: File to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = BytesIO()
    figure.savefig(whole, format="png", dpi=WIDTH / figure.get_size_inches()[0])
    Image.open(whole).convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
