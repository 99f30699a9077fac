"""Finding a probable text, token by token: greedily, or with several candidates ("beams").

A text ends at its first token `END`, or at its longest allowed length. The score of a candidate is
log p / len^a, where the length counts the end but not the beginning; 0 for ``a`` is log p itself.
Wu et al. (arXiv:1609.08144), "gnmt", divide by ((5 + len) / 6)^a instead. Candidates of every step
are compared by it, and one that has ended stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from motet.states import MISSING
from motet.tasks.decoders.base import Past
from motet.tasks.token_texts import END

Step = Callable[[Tensor, Past], tuple[Tensor, Past]]
"""From the last tokens (R,) and what is known before them to log-probabilities of the next ones
(R, V), and what is known after them."""


@final
@dataclass(frozen=True)
class Search:
    """How texts are found.

    Args:
        max_length: Tokens of the longest text.
        beams: Candidates that are followed; 1 takes the best token at each step.
        length_penalty: The exponent a.
        length_form: What is raised to it.

    Example:
        >>> Search(9, beams=2).penalty(torch.tensor([2.0, 3.0]))
        tensor([2., 3.])
        >>> Search(9, beams=2, length_penalty=0.6, length_form="gnmt").penalty(torch.tensor(1.0))
        tensor(1.)
    """

    max_length: int
    beams: int = 1
    length_penalty: float = 1.0
    length_form: Literal["plain", "gnmt"] = "plain"

    def __call__(self, step: Step, past: Past, rows: int, device: torch.device) -> Tensor:
        """Find a text for each row.

        Args:
            step: Gives the next token's log-probabilities.
            past: What is known before the first token.
            rows: Number of rows B.
            device: Where the rows are.

        Returns:
            Tokens (B, L), -100 from the end on; L is at least 1.
        """
        if self.beams == 1 or not rows:
            return self._greedy(step, past, rows, device)
        return self._beam(step, past, rows, device)

    def penalty(self, length: Tensor) -> Tensor:
        """Return what the log-probability of a text of some length is divided by."""
        base = (5 + length) / 6 if self.length_form == "gnmt" else length
        return base**self.length_penalty

    def _greedy(self, step: Step, past: Past, rows: int, device: torch.device) -> Tensor:
        last = torch.full((rows,), END, device=device)
        going = torch.ones(rows, dtype=torch.bool, device=device)
        found: list[Tensor] = []
        while len(found) < self.max_length and (not found or bool(going.any())):  # a device sync
            scores, past = step(last, past)
            last = scores.argmax(dim=1)
            going = going & (last != END)
            found.append(last.where(going, MISSING))
        return torch.stack(found, dim=1)

    def _beam(self, step: Step, past: Past, rows: int, device: torch.device) -> Tensor:
        k = self.beams
        past = past.map(lambda each: each.repeat_interleave(k, dim=0))
        # log-probabilities (B, k): all beams but the first would be the same text
        total = torch.full((rows, k), -torch.inf, device=device)
        total[:, 0] = 0.0
        length = torch.zeros(rows, k, device=device)
        ended = torch.zeros(rows, k, dtype=torch.bool, device=device)
        texts = torch.empty(rows, k, 0, dtype=torch.long, device=device)
        last = torch.full((rows * k,), END, device=device)
        first = torch.arange(rows, device=device)[:, None] * k
        for _ in range(self.max_length):
            scores, past = step(last, past)
            scores = scores.reshape(rows, k, -1)
            scores = scores.masked_fill(ended[..., None], -torch.inf)
            scores[..., END] = scores[..., END].masked_fill(ended, 0.0)
            candidates = total[..., None] + scores
            longer = length + ~ended
            ranked = candidates / self.penalty(longer)[..., None].to(candidates)
            place = ranked.flatten(1).topk(k).indices
            beam, token = place // scores.shape[2], place % scores.shape[2]
            total = candidates.flatten(1).gather(1, place)
            length, ended = longer.gather(1, beam), ended.gather(1, beam) | (token == END)
            before = texts.gather(1, beam[..., None].expand(-1, -1, texts.shape[2]))
            texts = torch.cat([before, token.where(~ended, MISSING)[..., None]], dim=2)
            if bool((ended | total.isneginf()).all()):  # a device sync
                break
            past, last = past.reordered((first + beam).flatten()), token.flatten()
        return texts[:, 0]
