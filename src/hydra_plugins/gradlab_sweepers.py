"""The remedies sweep as a Hydra sweeper. Hydra imports every module here at start: nothing heavy at the top."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gradlab.errors import GradlabError


class Remedies(Sweeper):
    """Tries every remedy on one config: alone, then the best in pairs, and pairs drawn at random to compare with.

    Args:
        seeds: Number of runs of each, which differ in their seed: that of the command and those after it.
        pairs: Number of pairs.
        random: Number of runs of random pairs.
        steps: Optimizer steps of every run where the command gives no train.steps; null for as many as the model's
            size lets run in minutes.
        max_batch_size: Most runs that a launcher is given at once; null for no limit.
        params: Must be empty; it is here so that an experiment that sets it, being a sweep, is refused with a reason.

    Raises:
        GradlabError: A number is too small, or the command lists values.
    """

    config: Any
    hydra_context: Any

    def __init__(
        self,
        *,
        seeds: int,
        pairs: int,
        random: int,
        steps: int | None = None,
        max_batch_size: int | None = None,
        params: Any = None,
    ) -> None:
        limits = {"seeds": (seeds, 1), "pairs": (pairs, 0), "random": (random, 0)}
        limits |= {"steps": (steps or 1, 1), "max_batch_size": (max_batch_size or 1, 1)}
        for name, (value, least) in limits.items():
            if not isinstance(value, int) or value < least:
                raise GradlabError(f"hydra.sweeper.{name} must be an integer of at least {least}, got {value}")
        if params:
            raise GradlabError(
                f"hydra/sweeper=remedies takes one config, and this experiment sweeps {', '.join(params)}"
            )
        self.seeds, self.pairs, self.random, self.steps = seeds, pairs, random, steps
        self.max_batch_size = max_batch_size

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Keep what Hydra hands over, and make the launcher: that of all cores, unless the command names one."""
        if config.hydra.runtime.choices["hydra/launcher"] == "serial" and not _asked_for_launcher(config):
            config = _on_all_cores(config, hydra_context)
        self.hydra_context, self.config = hydra_context, config
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._launched = 0

    def sweep(self, arguments: list[str]) -> None:
        """Run the remedies sweep of a command line.

        Args:
            arguments: Its overrides.

        Raises:
            GradlabError: One of them lists values, or the config cannot be run as it is.
        """
        from gradlab.sweep.remedies.study import Budget, study

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        for override in parser.parse_overrides(arguments):
            if override.is_sweep_override():
                hint = "hydra.sweeper.seeds=N sets the number of seeds"
                raise GradlabError(f"{override.input_line}: hydra/sweeper=remedies takes one config; {hint}")
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        budget = Budget(seeds=self.seeds, pairs=self.pairs, random=self.random, steps=self.steps)
        study(arguments, folder, budget=budget, compose=self._compose, launch=self._launch)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def _launch(self, runs: Sequence[Sequence[str]]) -> None:
        size = self.max_batch_size or max(1, len(runs))
        for start in range(0, len(runs), size):
            batch = runs[start : start + size]
            for result in self.launcher.launch(batch, initial_job_idx=self._launched):
                _ = result.return_value  # raises what a run raised, as Hydra's own sweeper has it
            self._launched += len(batch)


def _asked_for_launcher(config: DictConfig) -> bool:
    return any(text.startswith("hydra/launcher=") for text in config.hydra.overrides.hydra)


def _on_all_cores(config: DictConfig, hydra_context: Any) -> DictConfig:
    """Return the config with the launcher ``parallel``; as it is where one core is all there is, or a GPU is shared."""
    import joblib

    from gradlab.launch.gpu import shares_gpu

    if joblib.cpu_count() < 2 or shares_gpu(config):
        return config
    overrides = [*config.hydra.overrides.hydra, *config.hydra.overrides.task, "hydra/launcher=parallel"]
    other = hydra_context.config_loader.load_configuration(
        config.hydra.job.config_name, overrides, run_mode=RunMode.MULTIRUN
    )
    with read_write(config), open_dict(config):
        config.hydra.launcher = other.hydra.launcher
        config.hydra.runtime.choices["hydra/launcher"] = "parallel"
    return config
