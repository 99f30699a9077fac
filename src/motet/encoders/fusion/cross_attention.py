"""Cross-attention between sequences, before their features are joined."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, final

import torch
from torch import Tensor, nn

from motet.attention_heads import check_heads
from motet.encoders.fusion.base import Exchanging
from motet.encoders.fusion.masking import fitting_width
from motet.encoders.fusion.nested import create_nested
from motet.encoders.tokens import pooled
from motet.options import Chosen, Fraction, PositiveInt, Widths, checked
from motet.problems import InputError, hint
from motet.states import TokenStates


@final
class CrossAttention(Exchanging):
    """Let the tokens of a sequence attend to those of others, then join what they have learned.

    Every token of a text reads, for example, the frames of a recording: multi-head attention
    (Vaswani et al., NeurIPS 2017, 1706.03762) with its state, normalised, as the query, whose
    result is added to the state, as in co-attention between image regions and words (Lu et al.,
    NeurIPS 2019, arXiv:1908.02265). We differ in that there is no feed-forward layer of its own,
    and that all sequences read the states from before the exchange, so that their order has no
    effect. Padding and missing modalities are never read.

    The features of the whole sequence change by the mean of what its tokens read. Tasks that read
    tokens get the new states.

    Args:
        widths: The width of each encoder's features.
        names: The name of each modality.
        sequences: Those whose encoders give a state per token.
        attends: For each sequence, those that its tokens read, ``{text: [audio]}``; every sequence
            reads all others if left out.
        heads: Number of heads; they divide the width of each sequence that reads.
        dropout: Dropout on what is read.
        across: Fusion of all modalities after that.
        width: Width of the joined features; that of the widest features if left out.
        modality_dropout: Probability with which a modality counts as missing in a row of training;
            one at least stays.

    Raises:
        InputError: If there are fewer than two sequences, ``attends`` names what is none, or
            ``heads`` does not divide a width.

    Example:
        >>> both = ["text", "audio"]
        >>> fusion = CrossAttention([8, 4], both, both, attends={"text": ["audio"]}, heads=2)
        >>> fusion.attends, fusion.width
        ({'text': ('audio',)}, 8)
    """

    @checked
    def __init__(
        self,
        widths: Widths,
        names: Sequence[str],
        sequences: Sequence[str],
        *,
        attends: Mapping[str, tuple[str, ...]] | None = None,
        heads: PositiveInt = 4,
        dropout: Fraction = 0.1,
        across: Annotated[
            Mapping[str, Any] | str, Chosen("fusion", default="attention", lacking="across")
        ] = "attention",
        width: PositiveInt | None = None,
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.modality_dropout = modality_dropout
        self.attends = _attends(attends, names, sequences)
        of = dict(zip(names, widths, strict=True))
        for name in self.attends:
            check_heads(heads, of[name], f"the width of {name!r}")
        self.readers = nn.ModuleList(
            nn.ModuleList(_Reader(of[name], of[read], heads, dropout) for read in reads)
            for name, reads in self.attends.items()
        )
        width = width or fitting_width(widths, 8)
        self.across = create_nested("across", across, widths, width)
        self.width = self.across.width

    @property
    def exchanging(self) -> frozenset[str]:
        return frozenset(self.attends).union(*self.attends.values())

    def exchange(
        self, sequences: Mapping[str, TokenStates], present: Mapping[str, Tensor | None]
    ) -> dict[str, TokenStates]:
        made = dict(sequences)
        for (name, reads), readers in zip(self.attends.items(), self.readers, strict=True):
            if name not in sequences:  # of a source that lacks it
                continue
            states, padding, whole = sequences[name]
            for read, reader in zip(reads, readers, strict=True):  # type: ignore[call-overload]  # modules
                if read in sequences:
                    found = reader(sequences[name].states, sequences[read], present[read])
                    states = states + found
                    whole = whole + pooled(found, padding)
            made[name] = TokenStates(states, padding, whole)
        return made

    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        found = self.across(features, present)
        self.weights = self.across.weights
        assert isinstance(found, Tensor)
        return found


class _Reader(nn.Module):
    """One sequence attends to another."""

    def __init__(self, width: int, read: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, kdim=read, vdim=read, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, read: TokenStates, present: Tensor | None) -> Tensor:
        """Return what each token reads, (B, L, D); zeros where there is nothing to read."""
        hidden = read.padding if present is None else read.padding | ~present[:, None]
        nothing = hidden.all(1)
        key = hidden & ~nothing[:, None]  # softmax needs something
        values = torch.where(hidden[..., None], 0.0, read.states)
        found, _ = self.attention(
            self.norm(states), values, values, key_padding_mask=key, need_weights=False
        )
        return torch.where(nothing[:, None, None], 0.0, self.dropout(found))


def _attends(
    given: Mapping[str, Sequence[str]] | None, names: Sequence[str], sequences: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return which sequences the tokens of each read."""
    if len(sequences) < 2:
        raise InputError(
            f"found {' and '.join(sequences) or 'no input'} with a state per token; expected two "
            "sequences at least, such as two texts, whose encoders give tokens; or use another "
            "fusion"
        )
    if given is None:
        return {name: tuple(o for o in sequences if o != name) for name in sequences}
    for name, reads in given.items():
        for each in (name, *reads):
            if each not in sequences:
                what = "an input without states per token" if each in names else "no input"
                raise InputError(
                    f"found {each!r}, which is {what}; {hint(each, sequences)}", option="attends"
                )
        if not reads or name in reads:
            found = "itself" if reads else "nothing"
            raise InputError(
                f"{name!r} attends to {found}; expected other sequences: "
                f"{', '.join(o for o in sequences if o != name)}",
                option="attends",
            )
    if not given:
        raise InputError("found no sequence; leave it out for all", option="attends")
    return {name: tuple(reads) for name, reads in given.items()}
