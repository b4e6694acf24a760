"""A wind tunnel for gradient flow: see where a deep network's gradients vanish or explode, and what helps.

Importing the package imports no torch.
"""

__version__ = "0.1.0"
