"""Predictions of signal-propagation theory for a network as it was built, from its weights and its first batch.

`predict.predict` is the entry point, and `predict.compare_rows` compares its result with the recorded rows. `depth`
covers MLPs and CNNs, `time` recurrent nets; `activation`, `norm` and `weights` turn torch modules into plain numbers.
`reasons.NoPredictionError` says what is not covered.
"""
