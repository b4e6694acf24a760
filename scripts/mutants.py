"""Mutation tests: make one small mistake at a time in a copy of the source, and check that a test fails.

``mutants.toml`` beside this script lists for each mistake a file, a text in it, its replacement, and the tests of which
one must fail. The working tree is never changed. The exit code is 1 if a mutant survives.

    uv run python scripts/mutants.py             # all of them, some minutes
    uv run python scripts/mutants.py agc flow    # those whose name contains one of these words
    uv run python scripts/mutants.py --list
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAUGHT, SURVIVES = "caught", "SURVIVES"
# Run by the copy's own pytest: an editable install of the working tree must not be what is tested.
_PYTEST = """
import sys, gradlab, pytest
assert gradlab.__file__.startswith(sys.argv[1]), f"{gradlab.__file__} is not in the copy {sys.argv[1]}"
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake.

    Attributes:
        name: Name of the mistake.
        file: Path below ``src/gradlab``.
        old: Text that occurs exactly once in the file.
        new: Its replacement.
        tests: Test files, or single tests, at least one of which must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: Sequence[str]


def read_mutants(path: Path) -> list[Mutant]:
    """Return the mistakes that a file lists."""
    return [Mutant(name=name, **entry) for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()]


def check_mutants(mutants: Sequence[Mutant], root: Path) -> None:
    """Refuse mistakes that no longer fit the source.

    Raises:
        SystemExit: A file or a test is gone, or a text does not stand exactly once in its file.
    """
    stale = []
    for mutant in mutants:
        path = root / "src" / "gradlab" / mutant.file
        count = path.read_text(encoding="utf-8").count(mutant.old) if path.exists() else 0
        if count != 1:
            stale.append(f"{mutant.name} is stale: {mutant.old!r} stands {count} times in {mutant.file}, not once")
        missing = [test for test in mutant.tests if not (root / test.partition("::")[0]).exists()]
        stale += [f"{mutant.name} is stale: there is no {test}" for test in missing]
    if stale:
        raise SystemExit("\n".join(stale))


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Yield a temporary copy of the files that the tests need."""
    with tempfile.TemporaryDirectory(prefix="gradlab-mutants-") as name:
        copy = Path(name).resolve()
        for folder in ("src", "tests", "configs", "scripts", "docs"):
            shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        for file in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy2(root / file, copy / file)
        yield copy


@contextmanager
def planted(mutant: Mutant, copy: Path) -> Iterator[None]:
    """Apply a mistake to the copy inside the block."""
    path = copy / "src" / "gradlab" / mutant.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(sound, encoding="utf-8")


def run_tests(copy: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy against the copy's source, up to the first that fails.

    Raises:
        SystemExit: The tests could not be run, so there is no result.
    """
    # No bytecode: Python checks it by size and time in seconds, which a mutant may share with the original file.
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _PYTEST, str(copy), *tests]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "is not in the copy" in done.stderr:
        raise SystemExit(f"{' '.join(tests)} could not be run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def main() -> None:
    """Plant the chosen mistakes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="words that a name contains; none chooses all")
    parser.add_argument("--list", action="store_true", help="list the mistakes and make none")
    options = parser.parse_args()
    every = read_mutants(Path(__file__).with_suffix(".toml"))
    chosen = [one for one in every if not options.names or any(word in one.name for word in options.names)]
    unknown = [word for word in options.names if not any(word in one.name for one in every)]
    if unknown:
        raise SystemExit(f"no mutant's name contains {', '.join(unknown)}; --list shows them")
    check_mutants(chosen, ROOT)
    width = max(len(one.name) for one in every)
    if options.list:
        for one in chosen:
            print(f"{one.name:<{width}}  {one.file}: {one.old} -> {one.new}")
        return
    survived = 0
    with copied(ROOT) as copy:
        sound = run_tests(copy, list(dict.fromkeys(test for one in chosen for test in one.tests)))
        if sound.returncode:
            raise SystemExit(f"the tests fail without any mutant:\n{sound.stdout[-3000:]}")
        for one in chosen:
            with planted(one, copy):
                result = CAUGHT if run_tests(copy, one.tests).returncode else SURVIVES
            survived += result == SURVIVES
            print(f"{one.name:<{width}}  {result:<8}  {' '.join(one.tests)}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()
