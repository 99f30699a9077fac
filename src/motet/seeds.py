"""Seeds for every purpose, derived from the one seed of a run.

Random numbers depend on (seed, purpose, step) alone. So a resumed run, and every process of a run,
draws what an uninterrupted single process would have drawn, with no generator to save.
"""

from hashlib import blake2b


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """Derive a seed.

    Returns:
        A non-negative number of 63 bits.

    Example:
        >>> derive(0, "order", 1) == derive(0, "order", 1) != derive(0, "order", 2)
        True
    """
    digest = blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
