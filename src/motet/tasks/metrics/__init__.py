"""Metrics, a file for each kind of label; `motet.registry.METRICS` has their names."""
