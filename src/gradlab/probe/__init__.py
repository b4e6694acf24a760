"""Record the signals, gradients and weights of any ``torch.nn.Module`` by hooks, as rows of tables."""
