"""Results of runs as a JUnit XML file, the format that CI systems display."""

import os
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from gradlab.artifacts.atomic import replacing
from gradlab.artifacts.record import RunRecord
from gradlab.borders import visible
from gradlab.errors import GradlabError


def check_place(path: str) -> None:
    """Check that the JUnit file can be written, so that a bad path fails before the run and not after it.

    Args:
        path: The file; "" for none.

    Raises:
        GradlabError: The path is a folder, one of its parents is a file, or its parent is not writable.
    """
    parent = next((folder for folder in Path(path).parents if folder.exists()), Path())
    if path and (Path(path).is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK)):
        raise GradlabError(f"gate.junit={path}: no file can be written there")


def write_junit(path: Path, records: Mapping[str, RunRecord]) -> None:
    """Write one test case for each run: ``failure`` if the gate rejected it, ``error`` if the run failed.

    Args:
        path: File to write, by rename; missing folders are created.
        records: Run name to content of its run.json.
    """
    suite = ElementTree.Element("testsuite", name="gradlab", tests=str(len(records)))
    counts = {"failure": 0, "error": 0}
    for name, record in records.items():
        case = ElementTree.SubElement(
            suite, "testcase", classname="gradlab", name=visible(name), time=f"{float(record.get('seconds', 0)):.3f}"
        )
        reasons = record.get("gate") or []
        kind, words = ("error", [record.get("error", "")]) if record["status"] == "failed" else ("failure", reasons)
        if words:
            counts[kind] += 1
            words = [visible(word) for word in words]  # XML allows no control characters
            ElementTree.SubElement(case, kind, message="; ".join(words)).text = "\n".join(words)
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        ElementTree.ElementTree(suite).write(temporary, encoding="utf-8", xml_declaration=True)
