"""How many examples are drawn. ``HYPOTHESIS_PROFILE=thorough`` takes new ones, and many more."""

import os

from hypothesis import settings

# The same examples on every machine, without a memory of earlier ones or a limit on the time: it must not matter how
# fast a machine is, or what ran on it before.
settings.register_profile("quick", max_examples=50, derandomize=True, database=None, deadline=None)
settings.register_profile("thorough", max_examples=2000, database=None, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
