"""A run's folder from elsewhere is data: what its config names is built only if it is trusted."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.support.running import compose_config

from gradlab.api import resume
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError


def saved_run(folder: Path, *overrides: str) -> Path:
    """Write the config of a run that was cut off before its first checkpoint."""
    words = ["model.width=12", "probe.every=7", "figures=false", *overrides]
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(compose_config(*words), folder / ".hydra" / "config.yaml")
    OmegaConf.save(OmegaConf.create(words), folder / ".hydra" / "overrides.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"choices": {}}}}), folder / ".hydra" / "hydra.yaml")
    return folder


def _name_in_config(folder: Path, key: str, node: dict) -> None:
    path = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    OmegaConf.update(config, key, node, merge=False, force_add=True)
    path.write_text(OmegaConf.to_yaml(config))


@pytest.fixture
def received(tmp_path) -> Path:
    """A folder with a run that was cut off, as an archive may hold one."""
    return saved_run(tmp_path / "received", "model.depth=3", "train.steps=4")


def test_a_folder_from_elsewhere_runs_no_code(received, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef part(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    whole = (received / ".hydra" / "config.yaml").read_text()
    for target, more in {
        "builtins.open": {"file": str(victim), "mode": "w"},
        "pandas.read_pickle": {"filepath_or_buffer": "x"},
        "torch.load": {"f": "x"},
        "torch.hub.load": {},
        "joblib.load": {"filename": "x"},
        "planted.part": {},
    }.items():
        for key in ("activation", "train.freeze", "model.parts"):
            (received / ".hydra" / "config.yaml").write_text(whole)
            _name_in_config(received, key, {"_target_": target, **more})
            with pytest.raises(GradlabError, match=r"refused as a _target_|is no part of gradlab"):
                resume.resume(str(received), overrides=[], dirs=[CONFIGS])
    assert victim.read_text() == "mine"
    assert not (tmp_path / "ran").exists()


def test_the_logging_of_a_folder_from_elsewhere_is_not_used(received, tmp_path):
    path = received / ".hydra" / "hydra.yaml"
    handler = {"()": "builtins.open", "file": str(tmp_path / "ran"), "mode": "w"}
    hydra = OmegaConf.load(path)
    OmegaConf.update(hydra, "hydra.job_logging", {"version": 1, "handlers": {"h": handler}}, force_add=True)
    path.write_text(OmegaConf.to_yaml(hydra))
    resume.resume(str(received), overrides=[], dirs=[CONFIGS])
    assert not (tmp_path / "ran").exists()


def test_a_folder_from_elsewhere_writes_no_file_outside(received, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    _name_in_config(received, "gate.junit", str(tmp_path / "outside.xml"))
    with pytest.raises(GradlabError, match=r"outside of this folder; add gate\.junit=FILE"):
        resume.resume(str(received), overrides=[], dirs=[CONFIGS])
    assert not (tmp_path / "outside.xml").exists()


def test_a_run_with_parts_of_one_s_own_is_resumed_by_one_who_trusts_them(tmp_path, monkeypatch):
    (tmp_path / "trusted_parts.py").write_text("from torch import nn\nclass Swish(nn.SiLU):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = saved_run(tmp_path / "own", "model.depth=3", "train.steps=4", "activation._target_=trusted_parts.Swish")
    with pytest.raises(GradlabError, match=r"activation builds trusted_parts\.Swish.* add --trust trusted_parts$"):
        resume.resume(str(folder), overrides=[], dirs=[CONFIGS])
    resume.resume(str(folder), overrides=[], dirs=[CONFIGS], trusted=["trusted_parts"])
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"
