"""The first write of a run into its folder, which waits until everything that can be checked is checked."""

from collections.abc import Callable
from pathlib import Path

from gradlab.artifacts.record import clear_run, read_or_unfinished
from gradlab.run.session import Start


class Opening:
    """The first write of a run into its folder; until then the files of an earlier run stay as they are.

    Args:
        folder: The run's folder.
        write_config: Writes Hydra's own files.
        in_sweep: Whether the run is part of a sweep, which records each of its failures.
    """

    def __init__(self, folder: Path, *, write_config: Callable[[], None], in_sweep: bool) -> None:
        self._folder, self._write_config, self._in_sweep = folder, write_config, in_sweep
        self._start: Start | None = None
        self._begun = False

    def check(self, start: Start) -> None:
        """Note that the config is checked. If the run is finished already, its config is written again."""
        self._start = start
        if start.finished:
            self.begin()

    def begin(self) -> None:
        """Remove the files of an earlier run, and write Hydra's; a second call does nothing."""
        if self._begun:
            return
        self._begun = True
        start = self._start
        if start is not None and not start.finished:
            clear_run(self._folder, stale=start.saved is None)
        self._write_config()

    def records_failure(self) -> bool:
        """Whether an error is recorded in the folder.

        An error before the first write is recorded in a sweep, and in a folder without results of an earlier run. A
        single run whose config is refused leaves no files.
        """
        if self._start is None:
            return self._in_sweep
        if not self._in_sweep and not self._begun and _holds_results(self._folder):
            return False
        self.begin()
        return True


def _holds_results(folder: Path) -> bool:
    ended = read_or_unfinished(folder)["status"] in ("completed", "diverged", "interrupted")
    return ended or (folder / "checkpoint.pt").exists()
