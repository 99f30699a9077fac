"""What a file may make motet do: limits on input of unknown origin, in one place.

Each is far above what a real run needs. Files that stay below them can still be large: then time
and memory grow with their size, not faster.
"""

ALIASED_VALUES = 100_000
"""Values that the aliases of a config may stand for; a few lines of YAML can multiply endlessly."""
PROBLEMS = 500
"""Problems of a config that are explained; each takes time to find what was meant."""
MODEL_ROOM = 256e6
"""Bytes that building a model from its folder may take, beside four times those of its weights."""
IMAGE_PIXELS = 80_000_000
"""Pixels of an image; a file of a few kilobytes can decode to billions (decompression bombs)."""
IMAGE_BYTES = 256e6
"""Bytes of the file of an image."""
