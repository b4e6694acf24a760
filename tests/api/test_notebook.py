"""docs/tutorials/notebook.ipynb runs, and displays the objects that gradlab returns."""

import json
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorials" / "notebook.ipynb"


def execute(folder: Path):
    """Return the notebook after all of its cells have run, in a kernel of this interpreter."""
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python", "language": "python"}))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    return notebook


def result(notebook, source: str) -> dict:
    """Return the output, by media type, of the cell that ends with a line."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.splitlines()[-1] == source)
    return next(output for output in cell.outputs if output.output_type == "execute_result").data


def test_the_notebook_runs_and_shows_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = execute(tmp_path)
    streams = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "name" in output]
    assert not [output.text for output in streams if output.name == "stderr"]
    assert "completed in" in "".join(output.text for output in streams)
    run = result(notebook, "run")["text/html"]
    assert "vanish" in run
    assert 'src="data:image/png;base64,' in run
    assert "http" not in run
    assert result(notebook, "figure")["image/png"].startswith("iVBOR")
    assert "ROOT CAUSE: vanishing" in result(notebook, "explanation")["text/html"]
    assert "the numbers differ" in result(notebook, "gradlab.diff(run, better)")["text/html"]
    sweep = result(notebook, "sweep")["text/html"]
    assert "<table" in sweep
    assert "4 runs: 4 completed" in sweep
    assert "data:image/png" in sweep


def test_the_notebook_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells if cell.cell_type == "code")
