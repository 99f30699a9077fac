"""Fusion in two stages: within groups of modalities, then across groups."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, final

import torch
from torch import Tensor, nn

from motet.encoders.fusion.base import Fusion
from motet.encoders.fusion.masking import fitting_width, zeros_without
from motet.encoders.fusion.nested import create_nested
from motet.options import Chosen, Fraction, PositiveInt, Widths, checked
from motet.problems import InputError, hint


@final
class Hierarchical(Fusion):
    """Fuse groups of modalities, such as image and video, and then the groups.

    A modality that is in no group is a group of its own, under its name. A group is missing in rows
    that lack all of its modalities. ``weights`` are products of a group's weight and those within
    it, which sum to one again; None if one of the fusions has none.

    Args:
        widths: The width of each encoder's features.
        names: The name of each modality.
        groups: The modalities of each group, ``{vision: [image, video], ...}``; "table" stands for
            numbers and categories.
        width: Width of the joined features and of each group; that of the widest features if left
            out.
        within: Fusion within each group.
        across: Fusion across groups.
        modality_dropout: Probability with which a modality counts as missing in a row of training;
            one at least stays.

    Raises:
        InputError: If a group names an unknown modality or none, or a modality is in two groups.

    Example:
        >>> groups = {"vision": ["image", "video"]}
        >>> fusion = Hierarchical([2, 3, 4], ["image", "video", "text"], groups=groups, width=8)
        >>> fusion([torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 4)], None).shape
        torch.Size([1, 8])
        >>> fusion.groups
        {'vision': ('image', 'video'), 'text': ('text',)}
    """

    @checked
    def __init__(
        self,
        widths: Widths,
        names: Sequence[str],
        *,
        groups: Mapping[str, tuple[str, ...]],
        width: PositiveInt | None = None,
        within: Annotated[
            Mapping[str, Any] | str, Chosen("fusion", default="attention", lacking="across")
        ] = "attention",
        across: Annotated[
            Mapping[str, Any] | str, Chosen("fusion", default="attention", lacking="across")
        ] = "attention",
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.modality_dropout = modality_dropout
        self.groups = _groups(groups, names)
        places = {name: place for place, name in enumerate(names)}
        self._members = [[places[name] for name in each] for each in self.groups.values()]
        width = width or fitting_width(widths, 8)
        made = [
            create_nested("within", within, [widths[place] for place in each], width)
            for each in self._members
        ]
        self.within = nn.ModuleList(made)
        self.across = create_nested("across", across, [each.width for each in made], width)
        self.width = self.across.width

    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        joined, there, weights = [], [], []
        for places, fusion in zip(self._members, self.within, strict=True):
            own = None if present is None else present[..., places]
            found = fusion([features[place] for place in places], own)
            joined.append(zeros_without(found, own))
            there.append(None if own is None else own.any(-1))
            weights.append(fusion.weights)
        known = [each for each in there if each is not None]
        found = self.across(joined, torch.stack(known, dim=-1) if known else None)
        self.weights = self._product(self.across.weights, weights)
        assert isinstance(found, Tensor)
        return found

    def _product(self, across: Tensor | None, within: Sequence[Any]) -> Tensor | None:
        """Return the weight of each modality, in the order of the modalities."""
        if across is None or any(each is None for each in within):
            return None
        products = [each * across[..., k, None] for k, each in enumerate(within)]
        order = [place for places in self._members for place in places]
        return torch.cat(products, dim=-1)[..., sorted(range(len(order)), key=order.__getitem__)]


def _groups(
    groups: Mapping[str, Sequence[str]], names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return all groups, those of single modalities included."""
    of: dict[str, str] = {}
    for group, members in groups.items():
        if not members:
            raise InputError(
                f"group {group!r} has no modality; name some, or remove it", option="groups"
            )
        for name in members:
            if name not in names:
                raise InputError(
                    f"group {group!r} has {name!r}, which is not an input with an encoder of its "
                    f"own; {hint(name, names)}",
                    option="groups",
                )
            if name in of:
                found = (
                    f"twice in {group!r}" if of[name] == group else f"in {of[name]!r} and {group!r}"
                )
                raise InputError(f"{name!r} is {found}; expected one group", option="groups")
            of[name] = group
    alone = [name for name in names if name not in of]
    for name in alone:
        if name in groups:
            raise InputError(
                f"group {name!r} has the name of an input that is in no group; rename it",
                option="groups",
            )
    return {group: tuple(each) for group, each in groups.items()} | {n: (n,) for n in alone}
