"""The remedies sweep as a Hydra sweeper; Hydra imports this module at start, so nothing slow is imported at the top."""

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
    """Tries every remedy on one config, then the best ones in pairs, and random pairs for comparison.

    Args:
        seeds: Number of runs of each, with consecutive seeds from the command's own.
        pairs: Number of pairs.
        random: Number of runs of random pairs.
        steps: Optimizer steps of each run unless the command sets train.steps; null chooses a number by the model's
            size, so that the sweep takes minutes.
        max_batch_size: Largest number of runs launched at once; null for no limit.
        params: Must be empty. It exists so that an experiment that sweeps is refused with a reason.

    Raises:
        GradlabError: A number is too small, or ``params`` is not empty.
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
        for name, (value, minimum) in limits.items():
            if not isinstance(value, int) or value < minimum:
                raise GradlabError(f"hydra.sweeper.{name} must be an integer of at least {minimum}, got {value}")
        if params:
            raise GradlabError(
                f"hydra/sweeper=remedies takes one config, and this experiment sweeps {', '.join(params)}"
            )
        self.seeds, self.pairs, self.random, self.steps = seeds, pairs, random, steps
        self.max_batch_size = max_batch_size

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Set the sweeper up, with the launcher ``parallel`` unless the command names one."""
        if config.hydra.runtime.choices["hydra/launcher"] == "serial" and not _asked_for_launcher(config):
            config = _with_parallel_launcher(config, hydra_context)
        self.hydra_context, self.config = hydra_context, config
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._launched = 0

    def sweep(self, arguments: list[str]) -> None:
        """Run the remedies sweep of a command line.

        Args:
            arguments: The overrides of the command line.

        Raises:
            GradlabError: An override lists values, the config cannot be run unchanged, or another process runs the
                sweep.
        """
        from gradlab.artifacts.lock import holding
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
        with holding(folder):  # the pairs follow from the results of all single remedies
            study(arguments, folder, budget=budget, compose=self._compose, launch=self._launch)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def _launch(self, runs: Sequence[Sequence[str]]) -> None:
        size = self.max_batch_size or max(1, len(runs))
        for start in range(0, len(runs), size):
            batch = runs[start : start + size]
            for result in self.launcher.launch(batch, initial_job_idx=self._launched):
                _ = result.return_value  # raises the run's exception, as in Hydra's own sweeper
            self._launched += len(batch)


def _asked_for_launcher(config: DictConfig) -> bool:
    return any(text.startswith("hydra/launcher=") for text in config.hydra.overrides.hydra)


def _with_parallel_launcher(config: DictConfig, hydra_context: Any) -> DictConfig:
    """Return the config with the launcher ``parallel``; unchanged on a single core or if runs share a GPU."""
    import joblib

    from gradlab.launch.gpu import shares_gpu

    if joblib.cpu_count() < 2 or shares_gpu(config):
        return config
    overrides = [*config.hydra.overrides.hydra, *config.hydra.overrides.task, "hydra/launcher=parallel"]
    parallel = hydra_context.config_loader.load_configuration(
        config.hydra.job.config_name, overrides, run_mode=RunMode.MULTIRUN
    )
    with read_write(config), open_dict(config):
        config.hydra.launcher = parallel.hydra.launcher
        config.hydra.runtime.choices["hydra/launcher"] = "parallel"
    return config
