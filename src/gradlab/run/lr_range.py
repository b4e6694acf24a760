"""Learning rate range test of a config, on a net of its own; its suggestion replaces `optimizer.lr=auto`."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path

from omegaconf import DictConfig, open_dict

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
_LOWER, _TRIES = 1e-4, 3  # factor on the lowest rate where even that blows up, and number of tests in all


def settle(
    cfg: DictConfig,
    folder: Path,
    *,
    begin: Callable[[], None],
    known: RangeRecord | None = None,
    brief: bool = False,
) -> tuple[DictConfig, RangeRecord | None]:
    """Replace ``optimizer.lr=auto`` by the suggestion of a range test.

    Args:
        cfg: A checked config.
        folder: The run's folder, for the table of the range test.
        begin: Called before the first write into the folder.
        known: Result of the range test in the checkpoint that is resumed; None runs the test.
        brief: Whether to print nothing.

    Returns:
        The config to train with, and the result of the range test; None if the config needs no test.

    Raises:
        GradlabError: The range test suggests no learning rate.
        KeyboardInterrupt: The test was interrupted.
    """
    if cfg.optimizer.get("lr") != AUTO:
        return cfg, None
    result = known or search(cfg, folder, begin=begin)
    if result["suggestion"] is None:
        raise GradlabError(f"optimizer.lr=auto: {console.range_test_in_words(result)}; set a number")
    if not brief and not known:
        console.say(f"optimizer.lr={result['suggestion']}: {console.range_test_in_words(result)}")
    settled = cfg.copy()
    settled.optimizer.lr = result["suggestion"]
    return settled, result


def search(cfg: DictConfig, folder: Path, *, begin: Callable[[], None]) -> RangeRecord:
    """Run a range test on a freshly built net, and write ``lr_range.csv``.

    A net whose loss blows up before it has fallen is tested again from a lower rate, twice at most: with gradients of
    1e7 the lowest rate of a usual test is too high.

    Args:
        cfg: A checked config.
        folder: Folder for the table, which is of the last test.
        begin: Called before the table is written.

    Raises:
        KeyboardInterrupt: A test was interrupted.
    """
    lowest = cfg.lr_range.lowest
    rising = _test(cfg, lowest=lowest)
    for attempt in range(1, _TRIES):
        if not rising.blew_up or suggest(rising.rates, rising.losses) is not None:
            break
        rising = _test(cfg, lowest=lowest * _LOWER**attempt)
    suggestion = suggest(rising.rates, rising.losses)
    begin()
    with replacing(folder / "lr_range.csv") as temporary:
        table = Table(temporary, COLUMNS)
        table.write(zip(range(len(rising.rates)), rising.rates, rising.losses, smooth(rising.losses), strict=True))
        table.close()
    return {
        "suggestion": suggestion and suggestion.rate,
        "lowest_at": suggestion and suggestion.lowest_at,
        "blew_up_at": rising.rates[-1] if rising.blew_up else None,
        "steps": len(rising.rates),
    }


def _test(cfg: DictConfig, *, lowest: float) -> Rising:
    """Run one range test, from a learning rate upwards."""
    loop = assemble(_prepared(cfg, lowest=lowest))
    rising: Rising = loop.lr_scheduler
    rising.on_blow_up = loop.interrupt
    with quiet(), interruptible(loop.interrupt):
        for metrics in loop.run():
            if not isfinite(metrics["train_loss"]):  # the loop ends before it passes this loss to the schedule
                rising.observe(metrics["train_loss"], metrics["epoch"])
    if loop.status == "interrupted" and not rising.blew_up:
        raise KeyboardInterrupt
    return rising


def _prepared(cfg: DictConfig, *, lowest: float) -> DictConfig:
    """Return the config of the test: the same net, data and optimizer, a rising rate, and no growth or checkpoints."""
    tested = cfg.copy()
    limits = {**cfg.lr_range, "lowest": lowest}
    with open_dict(tested):
        tested.lr_scheduler = {"_target_": "gradlab.optim.range_test.Rising", "_partial_": True, **limits}  # pyright: ignore[reportGeneralTypeIssues]
        tested.optimizer.lr = lowest
    tested.train.steps, tested.train.measure_only = cfg.lr_range.steps, False
    tested.train.grow = None
    tested.train.eval_every = tested.train.checkpoint_every = tested.probe.every = 0
    return tested
