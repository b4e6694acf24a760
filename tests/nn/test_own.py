import json
import sys

import pytest
import torch
from tests.support.running import compose_config
from torch import nn

from gradlab.errors import GradlabError
from gradlab.nn.own import check_outputs, torchvision

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 8, outputs: int = 10):
        super().__init__()
        self.last = nn.Linear(width, outputs)
        self.first = nn.LazyLinear(width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.last(self.dropout(self.batch_norm(self.first(x.flatten(1))).relu()))


class Sized(Net):
    def __init__(self, width: int, outputs: int):
        super().__init__(width, outputs)


class EveryStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRU(10, 4, batch_first=True), nn.Linear(4, 9)

    def forward(self, x):
        return self.head(self.cell(x)[0]).movedim(1, 2)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.encoder(x.squeeze(1)).mean(1))


def number():
    return 3
"""
SMALL = ("train.steps=3", "train.batch_size=8", "train.eval_every=0")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, found as one in the working directory is."""
    (tmp_path / "my_own_models.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_own_models", None)


def own(run, *overrides, target="Net"):
    return run("model=custom", f"model.target=my_own_models.{target}", *SMALL, *overrides)


def test_an_own_model_trains_and_is_judged(run, module):
    done = own(run, "+model.arguments.width=16")
    rows = done.gradients[done.gradients.step == 0]
    assert rows.layer.tolist() == ["first", "last"]
    assert rows.weight_norm.notna().all()
    record = json.loads((done.folder / "run.json").read_text())
    assert record["hidden_layers"] == 1
    assert record["verdicts"][0]["name"] == "shallow"
    state = torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]
    assert state["first.weight"].shape == (16, 64)
    assert state["batch_norm.num_batches_tracked"] == 3  # the trial pass left no trace


def test_the_ratio_is_that_of_the_layers_that_can_be_seen(run, module):
    done = own(run, target="Encoder")
    rows = done.gradients[done.gradients.step == 0].set_index("layer")
    assert rows.index[0] == "encoder.layers.0.self_attn.in_proj_weight"
    norms = rows.preactivation_grad_norm
    assert norms.isna().sum() == 2
    record = json.loads((done.folder / "run.json").read_text())
    ratio = norms["encoder.layers.0.self_attn.out_proj"] / norms["encoder.layers.1.linear2"]
    assert record["metrics"]["gradient_ratio_initial"] == pytest.approx(ratio)
    assert "layer 2 receives" in record["verdicts"][0]["sentence"]


def test_a_model_may_answer_at_every_time_step(run, module):
    done = own(run, "data=copy_memory", "data.length=5", target="EveryStep")
    rows = done.gradients[done.gradients.step == 0]
    assert rows.role.tolist() == ["main", "recurrent", "main"]
    with pytest.raises(GradlabError, match=r"must map inputs \[2, 25, 10\] to \[2, 9, 25\], returned \[2, 10\]"):
        own(run, "data=copy_memory", "data.length=5")


def test_a_user_s_yaml_gets_the_sizes_that_its_target_takes(module):
    from gradlab.run.assemble import assemble

    cfg = compose_config("model=custom", "model.target=x", "train.steps=1")
    for target, width in (("Net", 8), ("Sized", 5)):
        cfg.model = {"_target_": f"my_own_models.{target}", "width": width}
        assert assemble(cfg).model.last.weight.shape == (10, width)


def test_the_seed_decides_the_weights_lazy_ones_too(run, module):
    def weights(*overrides):
        done = own(run, *overrides)
        return torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]

    first, again, other = weights("seed=0"), weights("seed=0"), weights("seed=1")
    for name in ("first.weight", "last.weight"):
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])


def test_the_fingerprint_follows_the_target_and_its_source(run, module):
    def fingerprint(*overrides, **options):
        return json.loads((own(run, *overrides, **options).folder / "run.json").read_text())["fingerprint"]

    sizes = ("+model.arguments.width=8", "+model.arguments.outputs=10")
    first = fingerprint(*sizes)
    assert fingerprint(*sizes) == first
    assert fingerprint(*sizes, target="Sized") != first
    (module / "my_own_models.py").write_text(SOURCE + "# changed\n")
    sys.modules.pop("my_own_models")
    assert fingerprint(*sizes) != first


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.target=my_own_models.Nte",), "there is no my_own_models.Nte; did you mean my_own_models.Net?"),
        (("+model.arguments.widht=3",), "takes no 'widht'; did you mean model.arguments.width?"),
        (("+model.arguments.width=abc",), 'model.arguments.width must be a valid integer, got "abc"'),
        (("+model.arguments.outputs=3",), "model: must map inputs [2, 1, 8, 8] to [2, 10], returned [2, 3]"),
        (("data=adding",), "model: must map inputs [2, 100, 2] to [2, 1], returned [2, 10]"),
        (("model.target=my_own_models.number",), "my_own_models.number must return a torch.nn.Module, got int"),
        (("train.batch_size=1",), "batch_norm needs at least 2 samples"),
    ],
)
def test_a_module_that_does_not_fit_is_reported_in_one_line(run, module, overrides, message):
    with pytest.raises(GradlabError) as caught:
        own(run, *overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_is_needed(run):
    with pytest.raises(GradlabError, match=r"model.target is missing; write model.target=VALUE"):
        run("model=custom")


def test_an_option_of_a_group_that_it_does_not_use_is_a_warning(run, module):
    done = own(run, "activation=tanh")
    (warning,) = json.loads((done.folder / "run.json").read_text())["warnings"]
    assert warning == "activation=tanh has no effect: model=custom does not use it"


def test_a_model_that_fails_or_returns_another_type_is_reported_with_its_inputs():
    inputs = torch.randn(5, 4)
    with pytest.raises(ValueError, match=r"cannot take inputs \[2, 4\]: RuntimeError: .*mat1 and mat2"):
        check_outputs(nn.Linear(3, 2), inputs, outputs=2, each_step=False)
    with pytest.raises(ValueError, match=r"to \[2, 4\], returned tuple"):
        check_outputs(nn.LSTM(4, 4), inputs, outputs=4, each_step=False)
    check_outputs(nn.Conv1d(7, 3, 1), torch.randn(5, 7, 7), outputs=3, each_step=True)


def test_a_trial_leaves_mode_buffers_and_random_numbers_of_the_caller():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_outputs(model, torch.randn(5, 4), outputs=2, each_step=False)
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_torchvision_s_models_are_probed_in_the_order_of_calls(run):
    done = run("model=torchvision", "model.name=squeezenet1_1", "data=fake_images", "data.size=48", "data.samples=16",
               "+model.arguments.dropout=0.0", *SMALL)  # fmt: skip
    rows = done.gradients[done.gradients.step == 0]
    assert rows.depth_index.tolist() == list(range(1, 27))
    assert rows.layer.tolist()[:3] == ["features.0", "features.3.squeeze", "features.3.expand1x1"]
    assert json.loads((done.folder / "run.json").read_text())["metrics"]["gradient_ratio_initial"] > 0


def test_torchvision_shows_grey_images_as_three_equal_channels():
    torch.manual_seed(0)
    model = torchvision(input_shape=(1, 64, 64), outputs=5, name="resnet18").eval()
    x = torch.randn(2, 1, 64, 64)
    assert torch.equal(model(x), model(x.repeat(1, 3, 1, 1)))
    assert model(x).shape == (2, 5)


def test_torchvision_names_what_it_does_not_have():
    with pytest.raises(ValueError, match="no classifier resnet81; did you mean resnet"):
        torchvision(input_shape=(3, 8, 8), outputs=2, name="resnet81")
    with pytest.raises(ValueError, match="no classifier zzz; there are alexnet"):
        torchvision(input_shape=(3, 8, 8), outputs=2, name="zzz")
    with pytest.raises(ValueError, match=r"arguments: .*unexpected keyword argument 'zero'"):
        torchvision(input_shape=(3, 8, 8), outputs=2, name="resnet18", arguments={"zero": 1})
