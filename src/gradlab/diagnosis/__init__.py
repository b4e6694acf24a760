"""From recorded numbers to verdicts and remedies, in plain numbers and sentences, without torch.

`evidence.Evidence` holds a run's tables and `config_facts` the facts of its config. `causes.diagnose` applies all rules
(`signal`, `units`, `updates`, `loss`, `memory`, `precision`) with the limits of `thresholds.Thresholds` and returns
`verdict.Verdict`s, the root cause first; `flow.diagnose_flow` judges the gradient flow of one step.
`remedies.remedies_for` chooses from `catalogue.CATALOGUE`, and `gate.Gate` decides whether a run passes.
"""
