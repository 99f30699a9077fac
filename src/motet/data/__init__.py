"""From raw columns to arrays: sources, splits, inputs, targets, preprocessing, batches.

Nothing here but `motet.data.batches` needs torch, so that a config is held against its data fast.
"""
