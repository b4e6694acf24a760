"""Many runs: their names, their summary, and what a sweep says at its end."""
