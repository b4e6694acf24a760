"""The range test of a config: a net built for it alone, its files, and the rate that takes the place of `auto`."""

from math import isfinite
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from gradlab.artifacts.atomic import replacing
from gradlab.artifacts.record import RangeRecord
from gradlab.artifacts.tables import Table
from gradlab.config.build import AUTO
from gradlab.errors import GradlabError
from gradlab.norms import quiet
from gradlab.optim.range_test import Rising, smooth, suggest
from gradlab.run import console
from gradlab.run.assemble import assemble
from gradlab.train.interrupts import interruptible

COLUMNS = ("step", "lr", "train_loss", "smoothed_loss")


def settle(
    cfg: DictConfig, folder: Path, *, known: RangeRecord | None = None, brief: bool = False
) -> tuple[DictConfig, RangeRecord | None]:
    """Put a number in the place of ``optimizer.lr=auto``.

    Args:
        cfg: A checked config.
        folder: Where the range test leaves its table.
        known: What the test found before the run was cut off that now goes on.
        brief: Whether to say nothing.

    Returns:
        The config to train with, and what run.json is to say of the range test; None where there was none.

    Raises:
        GradlabError: The range test suggests nothing.
        KeyboardInterrupt: The test was interrupted.
    """
    if cfg.optimizer.get("lr") != AUTO:
        return cfg, None
    found = known or search(cfg, folder)
    if found["suggestion"] is None:
        raise GradlabError(f"optimizer.lr=auto: {console.range_test_in_words(found)}; give a number")
    if not brief and not known:
        console.say(f"optimizer.lr={found['suggestion']}: {console.range_test_in_words(found)}")
    settled = cfg.copy()
    settled.optimizer.lr = found["suggestion"]
    return settled, found


def search(cfg: DictConfig, folder: Path) -> RangeRecord:
    """Do a range test on a freshly built net, and write ``lr_range.csv``.

    Args:
        cfg: A checked config.
        folder: Where the table goes.

    Returns:
        ``suggestion`` (None where the loss did not fall), ``lowest_at`` and ``blew_up_at`` (learning rates, or None),
        and ``steps``.

    Raises:
        KeyboardInterrupt: The test was interrupted.
    """
    loop = assemble(_prepared(cfg))
    rising: Rising = loop.lr_scheduler
    rising.on_blow_up = loop.interrupt
    with quiet(), interruptible(loop.interrupt):
        for metrics in loop.run():
            if not isfinite(metrics["train_loss"]):  # the loop ends there, before the schedule is shown the loss
                rising.observe(metrics["train_loss"], metrics["epoch"])
    if loop.status == "interrupted" and not rising.blew_up:
        raise KeyboardInterrupt
    with replacing(folder / "lr_range.csv") as temporary:
        table = Table(temporary, COLUMNS)
        table.write(zip(range(len(rising.rates)), rising.rates, rising.losses, smooth(rising.losses), strict=True))
        table.close()
    found = suggest(rising.rates, rising.losses)
    return {
        "suggestion": found and found.rate,
        "lowest_at": found and found.lowest_at,
        "blew_up_at": rising.rates[-1] if rising.blew_up else None,
        "steps": len(rising.rates),
    }


def _prepared(cfg: DictConfig) -> DictConfig:
    """Return the config of the test: the same net, data and optimizer, under a rising rate and nothing else."""
    tested = cfg.copy()
    limits = OmegaConf.to_container(cfg.lr_range)
    with open_dict(tested):
        tested.lr_scheduler = {"_target_": "gradlab.optim.range_test.Rising", "_partial_": True, **limits}  # pyright: ignore[reportGeneralTypeIssues]
        tested.optimizer.lr = cfg.lr_range.lowest
    tested.train.steps, tested.train.measure_only = cfg.lr_range.steps, False
    tested.train.grow = None
    tested.train.eval_every = tested.train.checkpoint_every = tested.probe.every = 0
    return tested
