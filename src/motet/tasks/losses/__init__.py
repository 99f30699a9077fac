"""Losses, a file for each kind of output; `motet.registry.LOSSES` has their names."""
