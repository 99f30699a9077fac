"""A state of each word from its letters."""

from typing import final

import torch
from torch import Tensor, nn

from motet.encoders.tokens import Text
from motet.options import Characters
from motet.problems import InputError

SYMBOLS = 256
"""Number of letters that `motet.data.letters` distinguishes."""
_LETTER = 32
"""Width of the vector of a letter."""


@final
class LetterStates(nn.Module):
    """Read the letters of a word by a convolution of three, and take the largest values.

    As Ma & Hovy (ACL 2016, arXiv:1603.01354) do; Lample et al. (NAACL 2016, arXiv:1603.01360) read
    them by an LSTM. A word that is unknown as a token has a state of its own that way, and case
    counts where tokens are lowercased. Differs in a ReLU, so that a word without letters is 0.

    Args:
        given: Options: ``width``, 32 if left out; the input reads ``longest``.

    Example:
        >>> letters = torch.tensor([[[99, 100, 0], [0, 0, 0]]])  # (B, L, K)
        >>> states = LetterStates({"width": 4})({"characters": letters})
        >>> states.shape, states[0, 1].tolist()
        (torch.Size([1, 2, 4]), [0.0, 0.0, 0.0, 0.0])
    """

    def __init__(self, given: Characters) -> None:
        super().__init__()
        self.width = given.get("width", 32)
        self.vectors = nn.Embedding(SYMBOLS, _LETTER, padding_idx=0)
        self.convolution = nn.Conv1d(_LETTER, self.width, 3, padding=1)

    def forward(self, text: Text) -> Tensor:
        """Encode the letters of all tokens.

        Args:
            text: "characters", the letters of the word of each token, (B, L, K).

        Returns:
            (B, L, width).

        Raises:
            InputError: If there are no letters.
        """
        letters = text.get("characters")
        if letters is None or letters.ndim != 3:
            raise InputError(
                'found a text without letters; expected {"ids": (B, L), "characters": (B, L, K)}, '
                "which the input `text` has where its encoder has the option characters"
            )
        rows, length, _ = letters.shape
        flat = letters.flatten(0, 1).long()
        found = self.convolution(self.vectors(flat).transpose(1, 2)).relu()
        largest = torch.where((flat > 0)[:, None], found, 0.0).amax(2)
        return largest.view(rows, length, self.width)


def refuse_letters(given: Characters | None, frames: int | None) -> None:
    """Refuse the option of an encoder that reads vectors, which have no letters.

    Raises:
        InputError: If it is given.
    """
    if given is not None and frames is not None:
        raise InputError(
            "reads the letters of words, and a sequence of vectors has none; remove it",
            option="characters",
        )
