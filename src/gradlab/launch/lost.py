"""What a launcher answers for a run whose process came to an end before it could answer itself."""

from collections.abc import Callable
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


def or_lost(method: Callable[[Any], Any], wrap: Callable[[Lost], Any]) -> Callable[[Any], Any]:
    """Return the method that waits for a run and answers for a lost one instead of raising."""

    def wait(job: Any) -> Any:
        try:
            return method(job)
        except Exception as error:
            return wrap(lost(type(error).__name__))

    return wait
