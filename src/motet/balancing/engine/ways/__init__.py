"""The ways to compute a balanced gradient, one file each; `choosing` maps a call to them."""

from motet.balancing.engine.ways.choosing import ways

__all__ = ["ways"]
