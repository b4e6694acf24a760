"""The training loop and its parts; nothing here knows Hydra."""
