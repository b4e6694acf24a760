"""The gallery: a page for each experiment, with the figures that `gradlab-reproduce --quick` makes during the build.

What ran stays in the build folder. An experiment runs again when its recipe, its expected figures or gradlab changed.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gradlab.config.paths import CONFIGS
from gradlab.reproduce import claims, results
from gradlab.reproduce.claims import Expectation
from gradlab_docs.markdown import code, fenced, page, table, toctree, write_pages

RECIPES = CONFIGS / "experiment"
EXTRAS = {"lars_large_batch": ("timm", "optimizers")}  # experiments that need a library of an extra
LEADING = ("gradient_flow", "phase_diagram", "likeness", "gradient_ratio", "learning_curves", "ranking")
_COMMAND = Path(sys.executable).parent / "gradlab-reproduce"
_SOURCE = Path(claims.__file__).parents[1]


def build(cache: Path, gallery: Path, *, run: bool) -> list[str]:
    """Run what has changed and write the gallery's pages.

    Args:
        cache: Folder of the runs, kept from build to build.
        gallery: Folder of the pages; their figures and reports go into its folder ``files``.
        run: Whether to run experiments; otherwise pages show what the cache holds.

    Returns:
        What is wrong, one line each: experiments that failed, and figures that are not as expected.
    """
    listed = {item["name"]: item for item in _reproduce("--list")["experiments"]}
    known = claims.read_all(RECIPES)
    runnable = [name for name, item in listed.items() if item["quick"] and not _lacks(name)]
    keys = {name: _key(name) for name in runnable}
    stale = [name for name in runnable if _kept(cache / name) != keys[name]]
    if run and stale:
        # Runs are reused by their config alone; here the code may have changed.
        for name in stale:
            shutil.rmtree(cache / "quick" / name, ignore_errors=True)
        _reproduce(*stale, "--quick", "--to", str(cache))
        for name in stale:
            (cache / f"{name}.key").write_text(keys[name], encoding="utf-8")
    found = {name: _result(cache / "quick" / name) for name in runnable}
    pages, problems = {}, []
    for name, item in listed.items():
        result = found.get(name)
        figures = _copy(cache / "quick" / name, gallery / "files" / name, result) if result else []
        pages[f"{name}.md"] = _page(item, known[name], result, figures)
        problems += _problems(name, result)
    pages["index.md"] = _index(listed.values(), gallery)
    write_pages(gallery, pages, alone=True)
    return problems


def _reproduce(*arguments: str) -> dict[str, Any]:
    """Return what `gradlab-reproduce --json` prints; exit code 3, a figure not as expected, is not an error here."""
    done = subprocess.run(
        [_COMMAND, *arguments, "--json"], stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False
    )
    answer = json.loads(done.stdout)
    if answer["result"] is None:
        raise RuntimeError(f"gradlab-reproduce {' '.join(arguments)}: {'; '.join(answer['errors'])}")
    return answer["result"]


def _key(name: str) -> str:
    """Return a hash of everything an experiment's figures depend on."""
    paths = [*_SOURCE.rglob("*.py"), *CONFIGS.rglob("*.yaml"), *RECIPES.glob(f"{name}.expected.yml")]
    # Another experiment's recipe has no influence.
    paths = sorted(path for path in set(paths) if path.parent != RECIPES or path.name.startswith(f"{name}."))
    digest = hashlib.sha256(f"torch {version('torch')}".encode())
    for path in paths:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _kept(place: Path) -> str:
    path = place.with_name(f"{place.name}.key")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _lacks(name: str) -> str:
    """Return the extra that an experiment needs and that is not installed here; "" for none."""
    module, extra = EXTRAS.get(name, ("json", ""))
    return "" if find_spec(module) else extra


def _result(folder: Path) -> dict[str, Any] | None:
    path = folder / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _copy(folder: Path, to: Path, result: Mapping[str, Any]) -> list[str]:
    """Copy an experiment's figures and report beside its page, and return the figures' names, the leading one first."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    names = [name for name in result["figures"] if (folder / name).exists()]
    for name in [*names, *([result["report"]] if result["report"] else [])]:
        shutil.copyfile(folder / name, to / Path(name).name)
    return sorted((Path(name).name for name in names), key=_place)


def _place(name: str) -> tuple[int, str]:
    stem = Path(name).stem
    return (LEADING.index(stem) if stem in LEADING else len(LEADING), stem)


def _problems(name: str, result: Mapping[str, Any] | None) -> list[str]:
    if result is None:
        return []
    wrong = [f"{name}: failed: {result['failed']}"] if result["failed"] else []
    outside = [claim for claim in result["claims"] if claim["verdict"] == claims.OUTSIDE]
    return wrong + [
        f"{name}: {claim['says']}: measured {claim['measured']}, expected {claim['expected']}" for claim in outside
    ]


def _page(
    item: Mapping[str, Any], expectation: Expectation, result: Mapping[str, Any] | None, figures: Sequence[str]
) -> str:
    name = item["name"]
    blocks = [
        f"{_sentence(expectation.effect)} Source: {expectation.source}.",
        fenced(f"$ {item['command']}", "console"),
    ]
    if figures:
        blocks += [f"![{name}: {Path(figures[0]).stem.replace('_', ' ')}](files/{name}/{figures[0]})"]
    blocks += ["## Figures", _measured(name, item, expectation, result)]
    if result and result["report"]:
        blocks += [f"[The report of these runs](files/{name}/{result['report']}) shows every run."]
    others = [f"![{Path(other).stem.replace('_', ' ')}](files/{name}/{other})" for other in figures[1:]]
    recipe = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    blocks += [*(["## More figures", *others] if others else []), "## Recipe"]
    blocks += [f"`configs/experiment/{name}.yaml`:", fenced(recipe, "yaml")]
    return page(name, *blocks)


def _measured(name: str, item: Mapping[str, Any], expectation: Expectation, result: Mapping[str, Any] | None) -> str:
    full = f"[Results](../results.md#{name}) has the figures of the whole experiment."
    if result is None or result["failed"] or result["skipped"]:
        rows = [[claim.says, results.expected(claim), claim.source] for claim in expectation.claims]
        why = _reason(name, item, expectation)
        return f"{why} {full}\n\n{table(['figure', 'expected', 'source of the expected figure'], rows)}"
    count = f"{result['runs']} run{'s' if result['runs'] > 1 else ''}"
    small = f"Measured while these pages were built, by {code(result['command'])}: {count}. {full}"
    rows = [
        [claim["says"], claim["expected"], results.number(float(claim["measured"])), _verdict(claim), claim["source"]]
        for claim in result["claims"]
    ]
    header = ["figure", "expected", "measured", "verdict", "source of the expected figure"]
    left = [claim for claim in expectation.claims if claim.says not in {one["says"] for one in result["claims"]}]
    shown = table(header, rows)
    if left:
        further = table(
            header[:2] + header[4:], [[claim.says, results.expected(claim), claim.source] for claim in left]
        )
        shown += f"\n\nOnly the whole experiment can show these:\n\n{further}"
    return f"{small}\n\n{shown}"


def _reason(name: str, item: Mapping[str, Any], expectation: Expectation) -> str:
    if expectation.needs:
        return f"Not run here: it needs {expectation.needs}."
    if lacking := _lacks(name):
        return f"Not run here: it needs the extra `{lacking}`."
    if not item["quick"]:
        memory = f" and {expectation.memory:g} GiB of memory" if expectation.memory else ""
        return f"Not run here: it has no small version and takes minutes{memory}."
    return "Not run in this build."


def _verdict(claim: Mapping[str, Any]) -> str:
    return f"{claim['verdict']}: {claim['unseen']}" if claim["verdict"] == claims.UNSEEN else claim["verdict"]


def _index(listed: Any, gallery: Path) -> str:
    listed = list(listed)
    cards = []
    for item in listed:
        name = item["name"]
        folder = gallery / "files" / name
        figures = sorted((path.name for path in folder.glob("*.svg")), key=_place) if folder.exists() else []
        image = [f":img-top: files/{name}/{figures[0]}"] if figures else []
        cards += [
            f":::{{grid-item-card}} {name}", f":link: {name}", ":link-type: doc", *image,
            f"{_sentence(item['effect'])} *{item['source']}*", ":::",
        ]  # fmt: skip
    grid = "\n".join(["::::{grid} 1 2 3 3", ":gutter: 3", "", *cards, "::::"])
    intro = (
        "Published effects, one command each. A page shows the command, the figures that must come out and the figures "
        "that did, measured while these pages were built (small versions, `gradlab-reproduce --quick`). "
        "[Results](../results.md) has the figures of the whole experiments."
    )
    return page("Gallery", intro, grid, toctree(item["name"] for item in listed))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}".rstrip(".") + "."
