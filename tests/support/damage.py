"""Damage to the files of a run, drawn from a seed: for the tests, and for scripts/fuzz.py."""

import json
from pathlib import Path
from random import Random
from shutil import rmtree

FILES = (
    "run.json", "gradients.csv", "metrics.csv", "timesteps.csv",
    ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 10**20, -(10**400), 1e308, float("nan"), float("-inf"), "", "nan", "x", "=1+1",
    "\x1b[31m", "[red]", "<script>", "\u202e", [], [[]], {}, {"a": 1}, [None], "${missing}", "${oc.env:HOME}", "???",
    "9" * 5000,
)  # fmt: skip
CELLS = (
    "",
    "nan",
    "inf",
    "1e400",
    "-1",
    "99999999999999999999",
    "x",
    '"',
    "=1+1",
    "\0",
    "\x1b[2J",
    "1,2",
    "1e5",
    "٣",
    " ",
)


def damage(folder: Path, random: Random) -> str:
    """Damage one or two files of a run's folder, and return what was done."""
    there = [name for name in FILES if (folder / name).is_file()]
    chosen = random.sample(there, min(len(there), random.choice((1, 1, 2))))
    return "; ".join(f"{name}: {_damage_file(folder / name, random)}" for name in chosen)


def _damage_file(path: Path, random: Random) -> str:
    kinds = [_cut, _garble, _remove, _empty, _make_folder, _link_to_itself, _crlf, _repeat, _bytes, _nest, _utf16]
    if path.suffix == ".csv":
        kinds += 4 * [_cell, _line, _column]
    else:
        kinds += 12 * [_value]
    kind = random.choice(kinds)
    detail = kind(path, random)
    return f"{kind.__name__[1:]} {detail or ''}".strip()


def _cut(path: Path, random: Random) -> str:
    content = path.read_bytes()
    size = random.randrange(len(content) + 1)
    path.write_bytes(content[:size])
    return f"to {size} bytes"


def _garble(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 3, 30))):
        if content:
            content[random.randrange(len(content))] = random.randrange(256)
    path.write_bytes(content)


def _remove(path: Path, random: Random) -> None:
    path.unlink()


def _empty(path: Path, random: Random) -> None:
    path.write_bytes(b"")


def _make_folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def _link_to_itself(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _crlf(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n"))))


def _repeat(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes() * random.choice((2, 20)))


def _bytes(path: Path, random: Random) -> None:
    path.write_bytes(random.randbytes(random.choice((1, 100, 10_000))))


def _nest(path: Path, random: Random) -> None:
    path.write_text(random.choice("[{(") * 100_000)


def _utf16(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes().decode("utf-8", "replace").encode("utf-16"))


def _value(path: Path, random: Random) -> str:
    """Replace, add or remove a value somewhere in a JSON or YAML file."""
    import yaml

    text = path.read_text(encoding="utf-8")
    content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    node, places = content, []
    while isinstance(node, dict | list) and node and (not places or random.random() < 0.7):
        place = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        places.append(place)
        parent, node = node, node[place]
    value = random.choice(VALUES)
    if not places or random.random() < 0.1:
        content = value
    elif random.random() < 0.2:
        del parent[place]
    else:
        parent[place] = value
    path.write_text(json.dumps(content, default=str), encoding="utf-8")  # JSON is YAML
    return f"{'.'.join(map(str, places))} = {str(value)[:20]!r}"


def _rows(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, rows: list[list[str]]) -> None:
    path.write_text("".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8")


def _cell(path: Path, random: Random) -> str:
    rows = _rows(path)
    row = random.choice(rows)
    column = random.randrange(len(row))
    row[column] = random.choice(CELLS)
    _write(path, rows)
    return f"{rows[0][min(column, len(rows[0]) - 1)]} = {row[column][:20]!r}"


def _line(path: Path, random: Random) -> None:
    rows = _rows(path)
    place = random.randrange(len(rows))
    change = random.choice(("remove", "repeat", "shuffle", "short"))
    if change == "remove":
        del rows[place]
    elif change == "repeat":
        rows.insert(place, rows[place])
    elif change == "shuffle":
        random.shuffle(rows)
    else:
        rows[place] = rows[place][: random.randrange(len(rows[place]) + 1)]
    _write(path, rows)


def _column(path: Path, random: Random) -> str:
    rows = _rows(path)
    column = random.randrange(len(rows[0]))
    name = rows[0][column]
    change = random.choice(("remove", "empty", "fill", "rename"))
    filler = random.choice(CELLS)
    if change == "rename":
        rows[0][column] = filler
    else:
        rows = [
            row[:column] + ([] if change == "remove" else ["" if change == "empty" else filler]) + row[column + 1 :]
            if number or change == "remove"
            else row
            for number, row in enumerate(rows)
        ]
    _write(path, rows)
    return f"{change} {name} {filler!r}"


def copy_run(run: Path, to: Path) -> Path:
    """Copy the plain files of a run, without figures and checkpoint."""
    rmtree(to, ignore_errors=True)
    (to / ".hydra").mkdir(parents=True)
    for name in FILES:
        if (run / name).exists():
            (to / name).write_bytes((run / name).read_bytes())
    return to
