"""From a config to the folder of a run."""

import sys

from gradlab import CallableModule

sys.modules[__name__].__class__ = CallableModule  # gradlab.run(...) is gradlab.api.calls.run
