"""Models and their parts: plain ``torch.nn.Module`` classes and functions that know nothing of configs."""
