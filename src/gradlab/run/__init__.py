"""Execution of one run, from its config to the files in its folder."""

import sys

from gradlab import CallableModule

sys.modules[__name__].__class__ = CallableModule  # gradlab.run(...) is gradlab.api.calls.run
