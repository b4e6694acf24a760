"""Published effects as experiments: what the runs' files show, and whether it is what was published."""
