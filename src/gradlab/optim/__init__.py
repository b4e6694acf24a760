"""Gradient clipping, optimizers and learning-rate schedules that torch lacks.

Clipping: `clipping` (rules without memory: `clip_norm`, `clip_value`, `clip_per_layer`, `clip_adaptive`, `normalize`,
`centralize`) and `clipping_history` (`AutoClip`, `ZClip`). Schedules: `schedules` (functions of the step) and
`feedback` (`Plateau`, `LossRestart`, which follow the training loss). `muon.Muon` is an optimizer,
`parameters.parameter_groups` excludes biases from weight decay, and `range_test` finds a learning rate. Import from the
modules: this package imports none of them, so it loads without torch.
"""
