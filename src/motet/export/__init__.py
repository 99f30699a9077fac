"""A trained model as a file for other programs: its graph, what feeds it, and a check of both.

It knows models, trees of inputs and batches, not runs; `motet.run.exporting` gives it those.
"""
