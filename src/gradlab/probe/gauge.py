"""The protocol of gauges, which compute the figures of a layer from its tensors."""

from typing import Any, Protocol, TypeVar

from torch import Tensor

F = TypeVar("F", float, Tensor)
Slots = list[Any]  # one layer's figures of one step, in the order of columns.SLOT; None where nothing was measured

# (rms / std)^2 above which the float32 variance, norm^2 / n - mean^2, has lost too many digits to cancellation.
MAX_CANCELLATION = 25.0


class Gauge(Protocol[F]):
    """Computes figures of type F: a float, or a float64 tensor that stays on its device.

    `gradlab.probe.gauge_host` (floats) and `gradlab.probe.gauge_device` (0-d tensors) are gauges as modules;
    `gradlab.probe.gauge_batched.BatchedGauge` (tensors [K], one number for each of K runs) is one as a class. All give
    the same figures, to rounding.
    """

    def norm(self, x: Tensor, /) -> F:
        """Return the Euclidean norm over all entries."""
        ...

    def moments(self, x: Tensor, /) -> tuple[F, F, F]:
        """Return norm, mean and standard deviation (over n, not n - 1) of all entries."""
        ...

    def hypot(self, x: F, y: F, /) -> F:
        """Return sqrt(x^2 + y^2) without overflow."""
        ...

    def ratio(self, numerator: F, denominator: F, /) -> F:
        """Return the quotient under the rules of IEEE 754: 0 / 0 is nan, 1 / 0 is inf."""
        ...

    def cosine(self, x: Tensor, y: Tensor, x_norm: F, y_norm: F, /) -> F:
        """Return the cosine between two tensors of one shape, given their norms; nan where one is zero."""
        ...

    def keep(self, x: Tensor, buffer: Any, /) -> Any:
        """Return a copy of ``x`` for `distance` and `moved`, in ``buffer`` unless that is None."""
        ...

    def distance(self, x: Tensor, kept: Any, /) -> F:
        """Return the norm of ``x - kept``, where ``kept`` is a result of `keep` and may be overwritten."""
        ...

    def moved(self, x: Tensor, kept: Any, /) -> tuple[F, F]:
        """Return `distance` and the norm of ``x``, and copy ``x`` into ``kept``."""
        ...

    def repeat(self, x: Tensor, /) -> Tensor:
        """Return ``x`` [n, ...] repeated for each run, [K * n, ...]."""
        ...

    def largest(self, x: Tensor, /) -> Tensor:
        """Return the largest absolute value."""
        ...

    def slope_figures(self, slope: Tensor, steepest: Tensor, /) -> tuple[F, F]:
        """Return the root mean square of an activation's slopes and the share of entries at which it is saturated."""
        ...

    def alive(self, output: Tensor, /) -> Any:
        """Return for each unit (dimension 1) whether any output differs from 0; two such results combine by ``|``."""
        ...

    def share_dead(self, alive: Any, /) -> F:
        """Return the share of units that are not alive."""
        ...

    def log_quantiles(self, x: Tensor, /) -> tuple[F, ...]:
        """Return ``columns.QUANTILES`` of log10 |x|, linear between order statistics; -inf from a 0, nan from a nan."""
        ...

    def batch_first(self, x: Tensor, /) -> Tensor:
        """Return time steps [T, n, ...] in the order of dimensions that the other functions take."""
        ...

    def time_norms(self, x: Tensor, /) -> Tensor:
        """Return the norm of each ``x[t]`` of [T, n, ...], in float64; [T], or [T, K] for K runs."""
        ...
