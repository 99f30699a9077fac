"""The states of texts by frozen encoders: computed once, and used in place of the encoders.

An encoder that is never trained, and computes as in evaluation, gives a row the same states in
every epoch. `states_of` computes them, and `with_states` puts them beside the rows' tokens, where
`motet.encoders.Joined` finds them; batches stay those that they would have been.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.data.ragged import Ragged
from motet.encoders import Joined
from motet.encoders.tokens import check_words
from motet.model import MultiTaskModel
from motet.states import record_of

ROWS = 64
"""Texts per forward pass."""

States = dict[str, Tensor]
"""``pooled`` (N, D), and ``states`` (sum of lengths, D) of a text whose words are labelled."""


def frozen_texts(
    model: MultiTaskModel, plan: Mapping[int, Iterable[str]]
) -> dict[str, list[nn.Module]]:
    """Find the texts whose encoders are never trained.

    Args:
        model: The model.
        plan: Names of the parameters that are unfrozen at some epoch.

    Returns:
        The encoders of each such text; several where sharing copies the encoder.
    """
    later = {id(model.get_parameter(name)) for names in plan.values() for name in names}
    found: dict[str, list[nn.Module]] = {}
    for joined in _joined(model):
        for name, encoder in zip(joined.names, joined.encoders, strict=True):
            found.setdefault(name, []).append(encoder)
    own = {name: [p for each in found[name] for p in each.parameters()] for name in found}
    return {
        name: encoders
        for name, encoders in found.items()
        if own[name] and not any(p.requires_grad or id(p) in later for p in own[name])
    }


def computes_as_in_evaluation(model: MultiTaskModel, encoder: nn.Module) -> bool:
    """Return whether all of an encoder is frozen as in evaluation."""
    held = {id(model.get_parameter(name)) for name in model.held}
    return all(id(parameter) in held for parameter in encoder.parameters())


def texts_read_by_token(model: MultiTaskModel) -> frozenset[str]:
    """Return the names of texts whose states of tokens are read, by tasks or by a fusion."""
    found = {joined.tokens for joined in _joined(model) if joined.tokens is not None}
    return frozenset(found).union(*(joined.exchanging for joined in _joined(model)))


def states_of(
    encoder: nn.Module,
    text: Mapping[str, Ragged],
    *,
    words: bool,
    progress: Callable[[int], object] = lambda done: None,
) -> States:
    """Encode texts, those of similar length together so that little is padding.

    Args:
        encoder: Text encoder; it is put into evaluation mode.
        text: What it takes, N rows.
        words: Whether the states of words are wanted too.
        progress: Called after each batch with how many texts are done.

    Returns:
        The states, float32 on the CPU, rows in their order.

    Raises:
        InputError: If the states of words are wanted, and the encoder returns others.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    lengths = lengths_of(text)
    starts = lengths.cumsum(0) - lengths
    width = int(encoder.width)  # type: ignore[arg-type]  # an int
    pooled = torch.empty(len(lengths), width)
    states = torch.empty(int(lengths.sum()) if words else 0, width)
    order = text["ids"].lengths.argsort(descending=True, stable=True)
    done = 0
    with torch.no_grad():
        for rows in torch.split(order, ROWS):
            given = {name: part.index_select(0, rows).to(device) for name, part in text.items()}
            found = encoder(given)
            record = record_of(found)
            assert record is not None  # one that gives no features was refused before
            pooled[rows] = record.pooled.cpu()
            if words:
                check_words(found, given, encoder)
                places = torch.arange(found.states.shape[1])
                real = places < lengths[rows, None]
                states[(starts[rows, None] + places)[real]] = found.states.cpu()[real]
            done += len(rows)
            progress(done)
    return {"pooled": pooled} | ({"states": states} if words else {})


def lengths_of(text: Mapping[str, Ragged]) -> Tensor:
    """Return how many states each row has: one per word, or per token where none are words."""
    return text.get("words", text["ids"]).lengths


def with_states(inputs: Mapping[str, Any], name: str, found: States) -> dict[str, Any]:
    """Put the states of a text beside its tokens, which decide on batches as before."""
    text = inputs["texts"][name]
    kept = {part: rows for part, rows in text.items() if part in ("ids", "words")}
    kept["pooled"] = found["pooled"].numpy()
    if "states" in found:
        kept["states"] = Ragged(found["states"], lengths_of(text), fill=0)
    return {**inputs, "texts": {**inputs["texts"], name: kept}}


def _joined(model: MultiTaskModel) -> list[Joined]:
    return [module for module in model.modules() if isinstance(module, Joined)]
