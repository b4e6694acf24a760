"""A run trained in a group leaves in its folder, and calls, what Hydra's own `run_job` does."""

from types import SimpleNamespace

import pytest
from hydra.core.utils import JobRuntime, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf, open_dict
from tests.support.running import make_loader

from gradlab.config.hydra_private import hydra_config
from gradlab.fused import finish
from gradlab.fused.launch import _compose


class Calls:
    """Notes each callback that is called, with the names of its arguments and the job's answer."""

    def __init__(self) -> None:
        self.made = []

    def __getattr__(self, name):
        def call(**arguments):
            answer = arguments.get("job_return")
            known = answer and (answer.status, answer.return_value, answer.overrides, answer.task_name)
            self.made.append((name, sorted(arguments), known, answer and OmegaConf.to_yaml(answer.cfg)))

        return call


@pytest.mark.parametrize("overrides", [["seed=3", "optimizer=adam"], ["activation=tanh", "probe.layers=[head]"]])
def test_the_end_of_a_run_is_that_of_run_job(overrides, tmp_path, monkeypatch):
    loader = make_loader()
    JobRuntime.instance().set("name", "gradlab")  # as Hydra's main does
    monkeypatch.setattr(finish, "conclude", lambda member: 1.5)
    left = {}
    for name in ("ours", "theirs"):
        calls = Calls()
        master = loader.load_configuration("config", [f"hydra.sweep.dir={tmp_path / name}"], run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=loader, callbacks=calls)  # pyright: ignore[reportArgumentType]
        launcher = SimpleNamespace(config=master, hydra_context=context, task_function=lambda cfg: 1.5)
        job = _compose(launcher, overrides, 0)
        task = job.config.copy()
        with open_dict(task):
            del task["hydra"]
        if name == "ours":
            with hydra_config(job.config):
                done = finish.finish(launcher, job.config, SimpleNamespace(cfg=task))
        else:
            done = run_job(
                hydra_context=context, task_function=launcher.task_function, config=job.config,
                job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
            )  # fmt: skip
        files = {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*") if path.is_file()}
        texts = {str(path): own.read_text().replace(f"/{name}", "/") for path, own in files.items()}
        left[name] = (texts, calls.made, done.working_dir)
    assert any(path.endswith(".hydra/config.yaml") for path in left["theirs"][0])
    assert left["ours"] == left["theirs"]
