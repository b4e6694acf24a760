"""Forward and backward hooks -> quantities -> rows, for any ``torch.nn.Module``."""
