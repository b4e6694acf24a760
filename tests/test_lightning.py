import json

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

lightning = pytest.importorskip("lightning.pytorch")


class Net(lightning.LightningModule):
    def __init__(self, *, fails=False):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.fails = fails

    def training_step(self, batch, index):
        if self.fails and index == 2:
            raise RuntimeError("out of ideas")
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.net(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, *, callbacks, fails=False, **options):
    torch.manual_seed(0)
    model = Net(fails=fails)
    data = TensorDataset(torch.randn(24, 4), torch.randint(3, (24,)))
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=callbacks, **options,
    )  # fmt: skip
    trainer.fit(model, DataLoader(data, batch_size=4), DataLoader(data, batch_size=8))
    return torch.cat([p.flatten() for p in model.parameters()])


@pytest.mark.filterwarnings("ignore")
def test_the_callback_records_each_optimizer_step_and_changes_nothing(tmp_path):
    from gradlab.lightning import GradientFlow

    options = {"accumulate_grad_batches": 2, "val_check_interval": 2, "gradient_clip_val": 0.01}
    plain = fit(tmp_path, callbacks=[], **options)
    watched = fit(tmp_path, callbacks=[GradientFlow(str(tmp_path / "run"), every=2)], **options)
    assert torch.equal(plain, watched)
    rows = pd.read_csv(tmp_path / "run" / "gradients.csv")
    assert rows.step.unique().tolist() == [0, 2, 4]
    assert rows[rows.step == 2].layer.tolist() == ["net.0", "net.2"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["steps"] == 6


@pytest.mark.filterwarnings("ignore")
def test_a_training_that_fails_leaves_its_record(tmp_path):
    from gradlab.lightning import GradientFlow

    with pytest.raises(RuntimeError, match="out of ideas"):
        fit(tmp_path, callbacks=[GradientFlow(str(tmp_path / "run"))], fails=True)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["steps"], record["error"]) == ("failed", 2, "RuntimeError: out of ideas")
