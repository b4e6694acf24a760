"""Loggers that follow a run in addition to its CSV files, one module per library.

`mlflow.MLflow`, `tensorboard.TensorBoard` and `wandb.WandB` are the options. `fan_out.Following` passes each recorded
step to all chosen loggers, and `series` selects and names the figures. A library is imported only if it is chosen.
"""
