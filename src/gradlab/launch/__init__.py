"""What Hydra's launchers need: composing, reuse, progress, lost runs."""
