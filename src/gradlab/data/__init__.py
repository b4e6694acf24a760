"""Data sets, and endless mini-batches drawn from them.

Three kinds of data set have the same interface: `dataset.Dataset` (tensors in memory), `folder.Streamed` (files read on
demand) and `fresh.Fresh` (samples drawn on demand). They are built by `digits.digits`, `images` (`mnist`,
`fashion_mnist`, `cifar10`, `fake_images`), `pixel_sequences`, `sequences` (`adding`, `copy_memory`), `synthetic`
(`gaussian`, `linear_regression`, `grid`), `online.rare_cost`, `table.table` and `folder.image_folder`. Import from the
modules: this package imports none of them, so it loads without torch.
"""
