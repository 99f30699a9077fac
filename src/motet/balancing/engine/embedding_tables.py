"""Embedding tables read by the rows that a batch uses.

The gradient of a task on a table (V, D) is 0 but for the U rows that the batch looks up. It is the
cotangent at the embedding's output, added up by row::

    used (U,): the different rows looked up        gradient[i] = Σ_n c_n    over n with ids_n = i

so the gradient of a task is (U, D) numbers in place of (V, D), and no (V, D) numbers are written
before ``.grad``, once for all tasks. The numbers left out are 0 in every task, so inner products
are the same.

A table may be looked up several times, in embeddings or in sums and means of bags. It is left to
autograd where its gradient may be more than that: a weight tied with another layer, hooks,
gradients scaled by frequency, weighted or largest members of bags, recomputed indices.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.grad import sparse_gradient
from motet.balancing.engine.graph import place, users
from motet.processes import Processes


class Lookup(NamedTuple):
    """One place where rows of a table are looked up."""

    node: Any
    ids: Tensor
    """Rows that are looked up, (N,)."""
    padding: int | None
    """A row that gets no gradient."""
    bags: Tensor | None
    """The bag of each row (N,), where rows are added up in bags."""
    sizes: Tensor | None
    """Number of rows in each bag, where their mean is taken."""

    def cotangents(self, given: Tensor) -> Tensor:
        """Return the cotangent of each row that was looked up, (N, D)."""
        if self.bags is None:
            return given.reshape(-1, given.shape[-1])
        if self.sizes is not None:
            given = given / self.sizes.clamp(min=1)[:, None].to(given)
        return given[self.bags]


@dataclass(frozen=True, eq=False)
class Table:
    """An embedding table, with the rows that all its lookups use."""

    weight: Tensor
    lookups: tuple[Lookup, ...]
    used: Tensor
    """Rows that are looked up, each once, ascending, (U,)."""
    places: tuple[Tensor, ...]
    """Where in ``used`` the rows of each lookup are, (N,) each."""
    sparse: bool
    """Whether ``.grad`` of the table is sparse."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a gradient, (U, D)."""
        return len(self.used), self.weight.shape[1]

    @property
    def edges(self) -> list[GradientEdge]:
        return [GradientEdge(lookup.node, 0) for lookup in self.lookups]

    def add_up(self, cotangents: Sequence[Tensor | None], found: Tensor) -> None:
        """Write the sums of the cotangents of all lookups by row to ``found``, (U, D)."""
        found.zero_()
        for lookup, places, given in zip(self.lookups, self.places, cotangents, strict=True):
            if given is not None:
                _add_by_row(lookup.cotangents(given).to(found), places, found)
        padding = self.lookups[0].padding if self.lookups else None
        if padding is not None:
            found[self.used == padding] = 0

    def gradient(self, values: Tensor) -> Tensor:
        """Return the gradient of the table for values (U, D) of its used rows."""
        if self.sparse:
            return sparse_gradient(self.used[None], values, self.weight.shape)
        return values.new_zeros(self.weight.shape).index_copy_(0, self.used, values)


def embedding_tables(
    losses: Collection[Tensor],
    wide: Sequence[Tensor],
    above: dict[Any, list[Any]],
    *,
    cheaper: bool,
) -> list[Table]:
    """Find the tables whose gradients can be read by the rows used.

    Args:
        losses: What the gradients are of.
        wide: Leaves that are balanced on and may be tables.
        above: The nodes that use each node, as far as they are known; the rest is added.
        cheaper: Whether to return only tables of which few rows are used.

    Returns:
        The tables.
    """
    nodes = {place(leaf)[0]: leaf for leaf in wide}
    for loss in losses:
        users([place(loss)[0]], above)
        nodes = {node: leaf for node, leaf in nodes.items() if _is_looked_up(above.get(node, ()))}
        if not nodes:
            return []
    tables = list(_tables(nodes, above))
    return [table for table in tables if not cheaper or 2 * table.shape[0] <= len(table.weight)]


def joined_tables(
    losses: Collection[Tensor], wide: Sequence[Tensor], processes: Processes
) -> list[Table]:
    """Find the tables of which few rows are used, by all processes together.

    Args:
        losses: What the gradients are of on this process, perhaps nothing.
        wide: Leaves that are balanced on and may be tables, alike on all processes.
        processes: The processes.

    Returns:
        The tables, each with the rows that some process looks up.
    """
    above: dict[Any, list[Any]] = {}
    mine = {
        id(table.weight): table for table in embedding_tables(losses, wide, above, cheaper=False)
    }
    other = [id(leaf) not in mine and bool(above.get(place(leaf)[0])) for leaf in wide]
    facts = [[id(leaf) in mine for leaf in wide], other]
    facts.append([id(leaf) in mine and mine[id(leaf)].sparse for leaf in wide])
    read, other, sparse = processes.total(
        torch.tensor(facts).double().to(processes.device)
    ).tolist()
    chosen = [k for k in range(len(wide)) if read[k] and not other[k]]
    if not chosen:
        return []
    known = [mine.get(id(wide[k])) for k in chosen]
    used = processes.of_each([None if table is None else table.used.cpu() for table in known])
    found = []
    for k, table, each in zip(chosen, known, zip(*used, strict=True), strict=True):
        weight = wide[k]
        union = torch.unique(torch.cat([rows for rows in each if rows is not None]))
        union = union.to(weight.device)
        if 2 * len(union) > len(weight):
            continue
        if table is None:
            table = Table(weight, (), union, (), bool(sparse[k]))
        where = torch.searchsorted(union, table.used)
        places = tuple(where[each] for each in table.places)
        found.append(replace(table, used=union, places=places, sparse=bool(sparse[k])))
    return found


def _is_looked_up(above: Sequence[Any]) -> bool:
    """Return whether all nodes that use a leaf are lookups."""
    return all(type(node).__name__ in _LOOKUPS for node in above)


def _tables(nodes: Mapping[Any, Tensor], above: Mapping[Any, Sequence[Any]]) -> Iterator[Table]:
    for node, leaf in nodes.items():
        read = [_LOOKUPS[type(use).__name__](use) for use in above.get(node, ())]
        lookups = [lookup for lookup in read if lookup is not None]
        if not lookups or len(lookups) < len(read) or leaf._backward_hooks:
            continue
        kinds = {(lookup.padding, bool(lookup.node._saved_sparse)) for lookup in lookups}
        if len(kinds) > 1:
            continue
        ids = [lookup.ids for lookup in lookups]
        used, found = torch.unique(torch.cat(ids), return_inverse=True)
        ((_, sparse),) = kinds
        yield Table(leaf, tuple(lookups), used, found.split([len(each) for each in ids]), sparse)


def _embedding(node: Any) -> Lookup | None:
    if node._saved_scale_grad_by_freq or _is_recomputed(node):
        return None
    return Lookup(node, node._saved_indices.flatten().long(), _padding(node), None, None)


_SUM, _MEAN = 0, 1
"""Modes of bags."""


def _bag(node: Any) -> Lookup | None:
    if node._saved_scale_grad_by_freq or _is_recomputed(node):
        return None
    mode, ids, offsets = node._saved_mode, node._saved_indices.long(), node._saved_offsets
    if mode not in (_SUM, _MEAN) or node._saved_per_sample_weights is not None:
        return None
    every = torch.arange(len(ids), device=ids.device, dtype=offsets.dtype)
    bags = torch.bucketize(every, offsets, right=True) - 1
    return Lookup(node, ids, _padding(node), bags, node._saved_result2 if mode == _MEAN else None)


_LOOKUPS = {"EmbeddingBackward0": _embedding, "EmbeddingBagBackward0": _bag}


def _padding(node: Any) -> int | None:
    """Return the row that gets no gradient; torch saves -1, without a sign, where there is none."""
    padding: int = node._saved_padding_idx
    return padding if 0 <= padding < node._saved_weight_sym_argsize_0 else None


def _is_recomputed(node: Any) -> bool:
    raw = node._raw_saved_indices
    return getattr(raw, "unpack_hook", raw) is not None


def _add_by_row(given: Tensor, places: Tensor, found: Tensor) -> None:
    """Add cotangents (N, D) to the rows (U, D) of their places (N,)."""
    if found.device.type == _FAST:
        found.index_add_(0, places, given)
    else:
        dense = torch.ops.aten.embedding_dense_backward
        found.add_(dense(given, places, len(found), -1, False))


_FAST = "cpu"
"""Where index_add_ adds in a fixed order, and is faster."""
