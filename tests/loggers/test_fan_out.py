"""What a run does with its loggers: it tells them everything, and does not die of them."""

import json

import pytest
from tests.support.running import compose_config

from gradlab.config import build
from gradlab.errors import GradlabError

SMALL = ("model.depth=3", "model.width=16", "train.steps=30", "train.eval_every=10")


class Notebook:
    """A logger that records the logged values, or fails at a step."""

    open = None

    def __init__(self, *, folder, config, start, fails_at=-1):
        self.logged, self.ended, self.config, self.start, self.fails_at = {}, None, config, start, fails_at
        Notebook.open = self

    def log(self, step, values):
        if step == self.fails_at:
            raise ConnectionError("the server\nis gone")
        self.logged[step] = dict(values)

    def finish(self, record, figures):
        self.ended = (record, [path.name for path in figures])


def logged(*settings):
    keys = ",".join([f"_target_:{__name__}.Notebook", *settings])
    return f"+logger.notebook={{{keys}}}"


@pytest.fixture(autouse=True)
def no_logger_yet(monkeypatch):
    monkeypatch.setattr(Notebook, "open", None)


def test_a_logger_gets_the_values_of_the_tables(run):
    done = run(*SMALL, logged(), "figures=true", "train.steps=10")
    book = Notebook.open
    assert sorted(book.logged) == list(done.metrics.step)
    for _, row in done.metrics.iterrows():
        values = book.logged[int(row.step)]
        assert values == {**values, **row.drop("step").dropna().to_dict()}
        for _, layer in done.gradients[done.gradients.step == row.step].iterrows():
            name = f"gradient_norm/{layer.depth_index:02d}_{layer.layer}"
            assert values[name] == layer.preactivation_grad_norm
    record, figures = book.ended
    assert record["status"] == "completed"
    assert "gradient_flow.png" in figures
    assert book.config["model"]["depth"] == 3


def test_a_logger_that_fails_is_left_out_and_the_run_goes_on(run, caplog):
    caplog.set_level("INFO")
    plain, done = run(*SMALL), run(*SMALL, logged("fails_at:10"))
    record = json.loads((done.folder / "run.json").read_text())
    line = "the logger notebook failed at step 10 and is left out: ConnectionError: the server"
    assert record["status"] == "completed"
    assert record["warnings"] == [line]
    assert f"warning: {line}" in caplog.text
    assert Notebook.open.ended is None
    for name in ("gradients.csv", "metrics.csv"):
        assert (done.folder / name).read_bytes() == (plain.folder / name).read_bytes()


def test_loggers_do_not_change_the_fingerprint(run):
    prints = [json.loads((run(*SMALL, *more).folder / "run.json").read_text())["fingerprint"]
              for more in ((), (logged(),), ("follow.layers=3",))]  # fmt: skip
    assert len(set(prints)) == 1


def test_a_run_that_fails_says_so_to_its_loggers(run, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no memory")

    monkeypatch.setattr("gradlab.run.session.observe", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        run(*SMALL, logged())
    assert Notebook.open.ended[0]["status"] == "failed"


def test_several_options_of_the_group_are_merged():
    cfg = compose_config("logger=[tensorboard,csv,mlflow]")
    assert list(cfg.logger) == ["tensorboard", "mlflow"]


@pytest.mark.parametrize("library", ["tensorboard", "wandb", "mlflow"])
def test_a_library_that_is_not_installed_is_named(monkeypatch, library):
    for name in (library, f"torch.utils.{library}.writer", f"torch.utils.{library}.summary", f"torch.utils.{library}"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    monkeypatch.delitem(__import__("sys").modules, f"gradlab.loggers.{library}", raising=False)
    monkeypatch.delattr(f"gradlab.loggers.{library}", raising=False)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(GradlabError) as caught:
        build.check(compose_config(f"logger={library}"))
    hint = f"uv sync --extra {library} or pip install 'gradlab[{library}]' installs it"
    assert str(caught.value) == f"logger.{library}: {library} is not installed; {hint}"


def test_unknown_columns_are_refused():
    with pytest.raises(GradlabError, match=r"follow.columns: gradients.csv has no column gradnorm"):
        build.check(compose_config("follow.columns=[gradnorm]"))
