"""Models that share in every way, and what the engine must leave behind, worked out slowly."""

from copy import deepcopy

import torch
from torch import nn

from motet.balancing.families import GramianBalancer, JacobianBalancer, LossBalancer

B = 5
DTYPE = torch.float64


class Agreed(JacobianBalancer):
    """Keep the coordinates on whose sign all tasks agree."""

    def forward(self, jacobian, losses, present):
        agreed = (jacobian >= 0).all(dim=0) | (jacobian <= 0).all(dim=0)
        return torch.where(agreed, jacobian.sum(dim=0), 0)


class Worst(LossBalancer):
    """Count the largest loss alone."""

    def forward(self, losses, present):
        return losses.max()


class Shorter(GramianBalancer):
    """Divide gradients by their length, so that tasks left out, or put together, show."""

    def forward(self, gramian, losses, present):
        inverse = 1 / gramian.diagonal().sqrt()
        return inverse * len(inverse) / inverse.sum()


def squares(outputs, seed=1):
    """One loss per output, against targets of its own."""
    draw = torch.Generator().manual_seed(seed)
    return {
        task: (output - torch.randn(output.shape, generator=draw).to(DTYPE)).pow(2).mean()
        for task, output in zip("abcdefgh", outputs, strict=False)
    }


def data(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(DTYPE)


def linear(before, after, **options):
    return nn.Linear(before, after, **options).to(DTYPE)


def hard_sharing():
    encoder = nn.Sequential(linear(3, 4), nn.Tanh(), linear(4, 4))
    heads = nn.ModuleList(linear(4, 2) for _ in range(3))
    z = encoder(data(B, 3))
    return squares([head(z) for head in heads]), [encoder, heads]


def two_of_three_share_a_layer():
    encoder, extra = linear(3, 4), linear(4, 4)
    heads = nn.ModuleList(linear(4, 1) for _ in range(3))
    z = encoder(data(B, 3)).tanh()
    y = extra(z)
    return squares([heads[0](z), heads[1](y), heads[2](y)]), [encoder, extra, heads]


def tied_weights():
    """The encoder's first weight is the head's too, as in an autoencoder."""
    encoder, head = linear(3, 4), linear(4, 1)
    x = data(B, 3)
    z = encoder(x).tanh()
    return squares([z @ encoder.weight, head(z)]), [encoder, head]


def frozen_and_unused():
    encoder, unused = nn.Sequential(linear(3, 4), linear(4, 4)), linear(2, 2)
    encoder[0].requires_grad_(False)
    encoder[1].bias.requires_grad_(False)
    heads = nn.ModuleList(linear(4, 1) for _ in range(2))
    z = encoder(data(B, 3)).tanh()
    return squares([head(z) for head in heads]), [encoder, unused, heads]


def leaves_that_are_no_parameters():
    prompt = data(1, 4).requires_grad_()
    own = torch.tensor(2.0, dtype=DTYPE, requires_grad=True)
    encoder = linear(4, 4)
    z = encoder(data(B, 4) + prompt).tanh()
    return squares([z, z * own]), [encoder, prompt, own]


def experts_and_gates():
    """MMoE: each task mixes the experts by a gate of its own."""
    x = data(B, 3)
    experts = nn.ModuleList(linear(3, 4) for _ in range(3))
    gates = nn.ModuleList(linear(3, 3) for _ in range(2))
    heads = nn.ModuleList(linear(4, 1) for _ in range(2))
    made = torch.stack([expert(x).tanh() for expert in experts], dim=1)
    mixed = [(gate(x).softmax(-1)[..., None] * made).sum(1) for gate in gates]
    outputs = [head(z) for head, z in zip(heads, mixed, strict=True)]
    return squares(outputs), [experts, gates, heads]


def stitched_streams():
    """Cross-stitch: a stream per task, mixed by a shared matrix after each layer."""
    streams = nn.ModuleList(nn.ModuleList(linear(4, 4) for _ in range(2)) for _ in range(2))
    heads = nn.ModuleList(linear(4, 1) for _ in range(2))
    stitch = nn.Parameter(torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=DTYPE))
    flow = torch.stack([data(B, 4)] * 2)
    for depth in range(2):
        flow = torch.stack(
            [stream[depth](z).tanh() for stream, z in zip(streams, flow, strict=True)]
        )
        flow = torch.einsum("st,tbd->sbd", stitch, flow)
    outputs = [head(z) for head, z in zip(heads, flow, strict=True)]
    return squares(outputs), [streams, stitch, heads]


def one_fused_head():
    encoder, head = linear(3, 4), linear(4, 3)
    return squares(head(encoder(data(B, 3)).tanh()).unbind(1)), [encoder, head]


def losses_made_of_losses():
    encoder = linear(3, 4)
    heads = nn.ModuleList(linear(4, 1) for _ in range(2))
    z = encoder(data(B, 3)).tanh()
    losses = squares([head(z) for head in heads])
    return losses | {"c": losses["a"] + 2 * losses["b"]}, [encoder, heads]


def nothing_in_common():
    modules = nn.ModuleList(linear(3, 2) for _ in range(3))
    return squares([module(data(B, 3)) for module in modules]), [modules]


def two_pairs():
    """Tasks a, c share one encoder, b, d another."""
    encoders = nn.ModuleList(linear(3, 4) for _ in range(2))
    heads = nn.ModuleList(linear(4, 1) for _ in range(4))
    z = [encoder(data(B, 3)).tanh() for encoder in encoders]
    return squares([heads[k](z[k % 2]) for k in range(4)]), [encoders, heads]


def a_chain_of_common_parts():
    """a meets b, b meets c, and a and c have nothing in common: one component."""
    parts = nn.ModuleList(linear(3, 2) for _ in range(2))
    y = [part(data(B, 3)) for part in parts]
    return squares([y[0], y[0] * y[1], y[1]]), [parts]


def a_batch_for_each_task():
    encoder = nn.Sequential(linear(3, 4), nn.Tanh())
    heads = nn.ModuleList(linear(4, 1) for _ in range(3))
    batches = data(3, B, 3)
    outputs = [head(encoder(x)) for head, x in zip(heads, batches, strict=True)]
    return squares(outputs), [encoder, heads]


def one_task():
    encoder, head = linear(3, 4), linear(4, 1)
    return squares([head(encoder(data(B, 3)))]), [encoder, head]


def wide_layers():
    """Wider than the batch, so products of cotangents cost less than gradients."""
    encoder = nn.Sequential(
        linear(150, 150), nn.ReLU(), linear(150, 160, bias=False), nn.ReLU(), linear(160, 150)
    )
    encoder[4].bias.requires_grad_(False)
    twice = linear(150, 150)  # used twice
    lent = linear(150, 150)  # its bias is used elsewhere too
    norm = nn.LayerNorm(150).to(DTYPE)
    heads = nn.ModuleList(linear(150, 1) for _ in range(8))
    z = norm(twice(twice(encoder(data(2, 3, 150))).relu()) + lent.bias)
    outputs = [head(lent(z) if k % 2 else z) for k, head in enumerate(heads)]
    return squares(outputs), [encoder, twice, lent, norm, heads]


def pictures():
    encoder = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)
    ).to(DTYPE)
    heads = nn.ModuleList(linear(4, 1) for _ in range(2))
    z = encoder(data(B, 1, 4, 4))
    return squares([head(z) for head in heads]), [encoder, heads]


GRAPHS = {
    graph.__name__: graph
    for graph in (
        hard_sharing,
        two_of_three_share_a_layer,
        tied_weights,
        frozen_and_unused,
        leaves_that_are_no_parameters,
        experts_and_gates,
        stitched_streams,
        one_fused_head,
        losses_made_of_losses,
        nothing_in_common,
        two_pairs,
        a_chain_of_common_parts,
        a_batch_for_each_task,
        one_task,
        wide_layers,
        pictures,
    )
}


def make(graph):
    """Losses by task and all leaves, the same at every call."""
    torch.manual_seed(3)
    losses, parts = GRAPHS[graph]()
    leaves = [
        leaf
        for part in parts
        for leaf in (part.parameters() if isinstance(part, nn.Module) else [part])
    ]
    return losses, leaves


def naive(losses, leaves, balancer, *, shared=None, weighted=False):
    """The gradient of every leaf, None where there is none, in float64."""
    balancer = deepcopy(balancer)
    names, values = list(losses), torch.stack(list(losses.values())).detach().double()
    rows = {task: _row(loss, leaves) for task, loss in losses.items()}
    reached = [[row[place] is not None for row in rows.values()] for place in range(len(leaves))]
    if shared is None:
        parameters = [isinstance(leaf, nn.Parameter) for leaf in leaves]
        may = parameters if any(parameters) else [True] * len(leaves)
        common = [sum(c) > 1 and here for c, here in zip(reached, may, strict=True)]
        common = common if any(common) else may
    else:
        common = [any(leaf is each for each in shared) for leaf in leaves]

    def flat(task):
        parts = zip(rows[task], leaves, common, strict=True)
        dense = [leaf if row is None else row for row, leaf, here in parts if here]
        known = [row is not None for row, here in zip(rows[task], common, strict=True) if here]
        return torch.cat(
            [
                (part * here).detach().double().flatten()
                for part, here in zip(dense, known, strict=True)
            ]
        )

    jacobian = torch.stack([flat(task) for task in names])
    meet = torch.eye(len(names), dtype=torch.bool)
    for column, here in zip(reached, common, strict=True):
        if here:
            meet |= torch.outer(torch.tensor(column), torch.tensor(column))
    for _ in names:
        meet = (meet.double() @ meet.double()) > 0
    if isinstance(balancer, LossBalancer):
        read = values.clone().requires_grad_()
        present = torch.tensor([balancer.tasks.index(task) for task in names])
        weights = torch.autograd.grad(balancer(read, present), read)[0]
        direction = weights @ jacobian
    else:
        weights, direction = torch.zeros(len(names)).double(), 0 * jacobian[0]
        for group in sorted({tuple(row.nonzero().flatten().tolist()) for row in meet}):
            here = list(group)
            present = torch.tensor([balancer.tasks.index(names[k]) for k in here])
            if isinstance(balancer, GramianBalancer):
                gramian = jacobian[here] @ jacobian[here].T
                weights[here] = balancer(gramian, values[here], present)
                direction = direction + weights[here] @ jacobian[here]
            else:
                direction = direction + balancer(jacobian[here], values[here], present)
    expected, start = [], 0
    for place, leaf in enumerate(leaves):
        if common[place]:
            part = direction[start : start + leaf.numel()].view(leaf.shape)
            start += leaf.numel()
            expected.append(part if any(reached[place]) else None)
        else:
            parts = [
                row[place] * (weights[k] if weighted else 1)
                for k, row in enumerate(rows.values())
                if row[place] is not None
            ]
            expected.append(sum(parts) if parts else None)
    return expected


def _row(loss, leaves):
    trained = [leaf for leaf in leaves if leaf.requires_grad]
    found = iter(torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True))
    row = [next(found) if leaf.requires_grad else None for leaf in leaves]
    return [each.to_dense() if each is not None and each.is_sparse else each for each in row]


def assert_gradients(leaves, expected, **tolerance):
    for leaf, gradient in zip(leaves, expected, strict=True):
        if gradient is None:
            assert leaf.grad is None
        else:
            found = leaf.grad.to_dense() if leaf.grad.is_sparse else leaf.grad
            torch.testing.assert_close(found, gradient.to(leaf.dtype), **tolerance)
