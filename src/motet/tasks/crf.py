"""The linear-chain conditional random field, and which moves between tags it may make."""

from typing import final

import torch
from torch import Tensor, nn

from motet.options import PositiveInt, checked
from motet.problems import InputError
from motet.states import MISSING
from motet.tags import Moves
from motet.tasks.additive import clean
from motet.tasks.chains import Chain, best_path, last_of, log_partition, path_score
from motet.tasks.labels import at_least_float32, complete, row_with_gap

FORBIDDEN = 1e4
"""What a forbidden move costs in the loss: -inf would make NaN gradients for tags none reaches."""
NEVER = 1e30
"""What it costs in decoding, where there is no gradient, and what a tag that is not the label costs
in the sum over paths that agree with the labels."""


class Constraints(nn.Module):
    """Which moves are forbidden. Not saved: it follows from the tags.

    Args:
        moves: What is allowed.
    """

    start: Tensor
    between: Tensor
    end: Tensor

    def __init__(self, moves: Moves) -> None:
        super().__init__()
        for name, allowed in moves._asdict().items():
            self.register_buffer(name, torch.from_numpy(~allowed), persistent=False)

    def added_to(self, chain: Chain, cost: Tensor | float) -> Chain:
        """Return a chain in which forbidden moves cost this much."""
        forbidden = Chain(self.start, self.between, self.end)
        return Chain(*(s - f * cost for s, f in zip(chain, forbidden, strict=True)))

    def path(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the best valid path where moves earn nothing, (B, L), -100 at padding."""
        free = Chain(*(emissions.new_zeros(()) for _ in range(3)))
        return best_path(emissions, mask, self.added_to(free, NEVER))


@final
class CRF(nn.Module):
    """Linear-chain CRF over C tags (Lafferty, McCallum and Pereira, ICML 2001).

    The probability of a path is exp(score - logZ); see `motet.tasks.chains`. It starts with all
    parameters 0, as independent softmaxes. Tokens without a label are summed over: logZ - log sum
    over the paths that agree with the labels there are (Tsuboi et al., COLING 2008).

    Args:
        classes: Number of tags C.
        moves: Which moves are allowed; all if left out. Decoding keeps to it always, the likelihood
            only while ``constrained`` is set, for data in which every labelled path keeps to it. A
            path that ends with a label that cannot be the last was cut off: the paths that it is
            compared with may end with any tag, too.

    Raises:
        InputError: If the number of tags is not positive.

    Example:
        >>> crf = CRF(2)
        >>> _ = crf.transitions.data.copy_(torch.tensor([[0.5, -0.2], [-1.0, 0.0]]))
        >>> emissions, mask = torch.eye(2).unsqueeze(0), torch.ones(1, 2, dtype=torch.bool)
        >>> crf(emissions, torch.tensor([[0, 1]]), mask)
        tensor([-0.8114], grad_fn=<SubBackward0>)
        >>> crf.decode(emissions, mask)
        tensor([[0, 1]])
    """

    constrained: Tensor
    undecayed = ("transitions",)
    """Parameters without weight decay, as they are not the weights of matrix products."""

    @checked
    def __init__(self, classes: PositiveInt, moves: Moves | None = None) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(classes, classes))
        """What tag j earns after tag i, at [i, j]."""
        self.start = nn.Parameter(torch.zeros(classes))
        self.end = nn.Parameter(torch.zeros(classes))
        self.constraints = None if moves is None else Constraints(moves)
        self.constrained = nn.Buffer(torch.tensor(False))

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the log-likelihood of tags.

        Args:
            emissions: Scores of tags, (B, L, C); values at padding have no effect, even NaN.
            tags: (B, L), -100 for tokens without a label.
            mask: True for tokens, (B, L), which come first in each row; all if left out.

        Returns:
            Log-likelihood (B,), at least float32; 0 for rows without tokens or labels.

        Raises:
            InputError: If shapes do not fit, or, on a CPU, a token comes after padding.
        """
        emissions, mask = self._read(emissions, mask)
        if tags.shape != mask.shape:
            raise InputError(
                f"the tags have the shape {tuple(tags.shape)}, expected {tuple(mask.shape)}, one "
                "per sequence and token"
            )
        chain = self._chain(self.constrained * FORBIDDEN)
        labelled = (tags != MISSING) & mask
        tags = clean(tags, labelled).long()
        if self.constraints is not None:
            cut = self.constraints.end[last_of(tags, mask)] & last_of(labelled, mask)
            chain = chain._replace(end=torch.where(cut, self.end, chain.end))
        if complete(labelled | ~mask):
            agreeing = path_score(emissions, tags, mask, chain)
        else:
            agreeing = log_partition(_held_to(tags, labelled, emissions), mask, chain)
        return agreeing - log_partition(emissions, mask, chain)

    def decode(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the most probable path that keeps to the moves, (B, L), -100 at padding."""
        emissions, mask = self._read(emissions, mask)
        return best_path(emissions, mask, self._chain(NEVER))

    def _chain(self, cost: Tensor | float) -> Chain:
        chain = Chain(*map(at_least_float32, (self.start, self.transitions, self.end)))
        return chain if self.constraints is None else self.constraints.added_to(chain, cost)

    def _read(self, emissions: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if emissions.ndim != 3 or emissions.shape[2] != len(self.start) or not emissions.shape[1]:
            raise InputError(
                f"the emissions have the shape {tuple(emissions.shape)}, expected "
                f"(B, L, {len(self.start)}), one number per sequence, token and tag"
            )
        mask = (emissions.new_ones(emissions.shape[:2]) if mask is None else mask).bool()
        if mask.shape != emissions.shape[:2]:
            raise InputError(
                f"the mask has the shape {tuple(mask.shape)}, expected "
                f"{tuple(emissions.shape[:2])}, one truth value per sequence and token"
            )
        row = row_with_gap(mask)
        if row is not None:
            raise InputError(
                f"the mask has a token after padding in row {row}, expected tokens first; leave "
                "out what is not a token, and pad at the end"
            )
        return clean(at_least_float32(emissions), mask), mask


def _held_to(tags: Tensor, labelled: Tensor, emissions: Tensor) -> Tensor:
    """Return emissions with which only paths that agree with the labels count."""
    others = torch.ones_like(emissions, dtype=torch.bool)
    others = others.scatter_(2, tags.unsqueeze(2), False) & labelled.unsqueeze(2)
    return emissions.masked_fill(others, -NEVER)
