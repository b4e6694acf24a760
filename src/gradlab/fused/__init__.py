"""Train many runs of one shape together, as one tensor program."""
