"""Job results of lost runs, whose process died before it could return one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus


class Lost(JobReturn):
    """Job result of a lost run.

    Attributes:
        reason: Why the run was lost.
    """

    reason: str


def lost(why: str) -> Lost:
    """Return the job result of a lost run.

    Args:
        why: What happened to its process, in a few words.
    """
    result = Lost(status=JobStatus.COMPLETED)
    result.reason = f"its process was lost ({why})"
    return result


@contextmanager
def answering(owner: Any, name: str, wrap: Callable[[Lost], Any]) -> Iterator[None]:
    """Patch a library's public function that waits for a run, so that it returns a result for a lost run.

    The launchers of submitit and Ray wait for all runs in one expression inside ``launch``, so the first lost run would
    end the sweep, and neither accepts a hook. The patch is preferred to a copy of ``launch``, which could become stale
    unnoticed: if a launcher waits in another way, tests/launch/test_launchers.py fails.

    Args:
        owner: The class or module that has the function.
        name: The function's name there.
        wrap: Converts the job result of a lost run to the function's return type.
    """
    method = getattr(owner, name)

    def wait(job: Any) -> Any:
        try:
            return method(job)
        except Exception as error:
            return wrap(lost(type(error).__name__))

    setattr(owner, name, wait)
    try:
        yield
    finally:
        setattr(owner, name, method)
