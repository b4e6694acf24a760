"""Sweeps: the summary of many runs, the effects of their options, and the report at the end."""

import sys

from gradlab import CallableModule

sys.modules[__name__].__class__ = CallableModule  # gradlab.sweep(...) is gradlab.api.calls.sweep
