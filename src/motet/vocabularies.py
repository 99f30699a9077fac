"""What the numbers of tokens mean: which are words, and which only mark something."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

MASK_NAMES, UNKNOWN_NAMES = ("mask",), ("unk", "unknown")


@final
@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a text; those that are not special are ordinary ones."""

    size: int
    """Number of tokens, padding (0) included."""
    special: tuple[int, ...] = (0,)
    """Tokens that mark something, such as padding, the beginning, or the end of a text."""
    mask: int | None = None
    """The special token that stands for a hidden one, if there is one."""
    unknown: int | None = None
    """The token for words that are not known, if there is one."""
    used: int | None = None
    """Tokens from this number on never occur; None if all may."""
    marks_pairs: bool = True
    """Whether ``segments`` separate the second text of a pair from the first."""

    def not_words(self) -> list[int]:
        """Return the tokens that are no word or piece of one.

        Example:
            >>> Vocabulary(8, special=(0, 2), unknown=1, used=6).not_words()
            [0, 1, 2, 6, 7]
        """
        unknown = () if self.unknown is None else (self.unknown,)
        unused = range(self.size if self.used is None else self.used, self.size)
        return sorted({*self.special, *unknown, *unused})


def named_token(names: Sequence[str], tokens: dict[int, str]) -> int | None:
    """Return the token that is called so, whatever brackets are around its name.

    Example:
        >>> named_token(MASK_NAMES, {0: "<pad>", 3: "<mask>"})
        3
    """
    spelt = {number: token.strip("[]<>|").lower() for number, token in tokens.items()}
    return next((number for number, token in sorted(spelt.items()) if token in names), None)
