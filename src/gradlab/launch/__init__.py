"""Support for Hydra's launchers: composing configs, reuse of finished runs, progress, lost runs."""
