"""Settings for every test."""

from hypothesis import settings

# the first call of a property imports and compiles, so it is slow; CI repeats itself
settings.register_profile("motet", deadline=None, derandomize=True)
settings.load_profile("motet")
