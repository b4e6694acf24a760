"""Data sets that fit in memory, and the mini-batches drawn from them."""
