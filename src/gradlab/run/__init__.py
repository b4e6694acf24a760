"""From a config to the folder of a run."""
