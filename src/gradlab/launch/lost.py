"""What a launcher answers for a run whose process came to an end before it could answer itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus


class Lost(JobReturn):
    """What is left of such a run."""

    reason: str


def lost(why: str) -> Lost:
    """Return the answer in place of a run.

    Args:
        why: What is known of its process, in a few words.
    """
    answer = Lost(status=JobStatus.COMPLETED)
    answer.reason = f"its process was lost ({why})"
    return answer


@contextmanager
def answering(owner: Any, name: str, wrap: Callable[[Lost], Any]) -> Iterator[None]:
    """Replace a library's public function that waits for a run, so that it returns for a lost run instead of raising.

    The launchers of submitit and Ray wait for all runs in one expression inside ``launch``, which the first lost run
    ends; neither takes a function of ours. A copy of their ``launch`` would go stale without a sign, while a launcher
    that waits in another way makes tests/sweep/test_launchers.py fail.

    Args:
        owner: The class or module that holds the function.
        name: Its name there.
        wrap: Turns what is left of a lost run into what the function returns.
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
