"""Training an ensemble: gradients in every way, against naive ones, and steps of an MLP."""

import pytest
import quick_cases
import torch
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

import motet
from motet import balancing
from motet.balancing.engine.norms import norm_leaves
from motet.encoders import MLP, Ensemble
from motet.model import MultiTaskModel
from motet.registry import BALANCERS
from motet.tasks import Classification, Denoising, Regression
from motet.tasks.denoising import Cells
from motet.training import Trainer
from tests.gloo import in_processes

B, K, D = 7, 3, 4
X = torch.randn(B, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = {
    "a": torch.linspace(-1, 1, B, dtype=torch.float64),
    "b": torch.tensor([0, 1, -100, 2, 1, -100, 0]),
    "c": torch.tensor([0.3, torch.nan, 1.0, -2.0, torch.nan, 0.0, 1.0], dtype=torch.float64),
}


def tasks():
    return [Regression("a"), Classification("b", classes=3), Regression("c")]


def made(encoder=None, **options):
    torch.manual_seed(0)
    options = {"hidden": [6, 5, 5, 3], "activation": "tanh", "dropout": 0.0, **options}
    kind = Ensemble if "members" in options else MLP
    given = encoder or (lambda: kind(D, **options))
    return MultiTaskModel(given(), tasks()).double()


@pytest.mark.parametrize("scalings", ["all", "first"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gramian": "rows"},
        {"gramian": "layers"},
        {"memory": "low"},
        {"at": "representation"},
    ],
    ids=str,
)
def test_the_gramian_is_that_of_the_gradients_of_each_task(scalings, options):
    model = made(members=K, scalings=scalings)
    at = model.shared_parameters()
    losses = model.losses(model(X), TARGETS)
    if options.get("at") == "representation":
        state = model.states(X)["a"].detach().requires_grad_()
        raw = {task: model.heads[task](state) for task in TARGETS}
        naive, wanted = model.losses(raw, TARGETS), [state]
    else:
        naive, wanted = losses, at
    rows = [
        torch.cat([each.flatten() for each in torch.autograd.grad(loss, wanted, retain_graph=True)])
        for loss in naive.values()
    ]
    jacobian = torch.stack(rows)
    result = motet.backward(losses, balancing.create("upgrad", list(TARGETS)), **options)
    assert_close(result.gramian.double(), jacobian @ jacobian.T, rtol=1e-5, atol=1e-9)
    if "at" not in options:
        weights = torch.tensor([result.weights[task] for task in TARGETS], dtype=torch.float64)
        found = torch.cat([parameter.grad.flatten() for parameter in at])
        assert_close(found, weights @ jacobian, rtol=1e-5, atol=1e-9)


def alike(model):
    """Make all members compute the same, with heads of the same weights."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("scaling"):
                parameter.fill_(1)
            if name.startswith("heads."):
                parameter.copy_(parameter[:1].expand_as(parameter))


def test_members_that_are_alike_train_as_an_mlp_does():
    one, several = made(), made(members=K)
    alike(several)
    for task in TARGETS:  # the same first weights
        for own, plain in zip(
            several.heads[task].parameters(), one.heads[task].parameters(), strict=True
        ):
            own.data.copy_(plain.data.expand_as(own))
    for stage, plain in zip(several.sharing.stages, one.sharing.stages, strict=True):
        for (linear, *_), (other, *_) in zip(
            list(stage.stages)[1:], list(plain.stages)[1:], strict=True
        ):
            linear.weight.data.copy_(other.weight)
            linear.bias.data.copy_(other.bias.expand_as(linear.bias))
    for name, parameter in several.named_parameters():
        parameter.requires_grad_(not name.endswith(("scaling", "inputs", "outputs")))
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.05, eps=1e-30) for m in (one, several)]
    for _ in range(4):
        for model, optimizer in zip((one, several), optimizers, strict=True):
            optimizer.zero_grad()
            sum(model.losses(model(X), TARGETS).values()).backward()
            optimizer.step()
    expected, found = one(X), several(X)
    for task in TARGETS:
        for member in range(K):
            assert_close(found[task][:, member], expected[task], rtol=1e-6, atol=1e-8)


def fitted(**options):
    """Train a few steps with dropout, and return the weights and the report."""
    torch.manual_seed(0)
    encoder = Ensemble(D, members=K, hidden=[6, 5], dropout=0.3)
    denoising = Denoising("cells", cells=Cells(numbers=(0, 1, 2, 3)))
    heads = {"hidden": [4], "dropout": 0.2}
    given = [Regression("a", head=heads), Classification("b", classes=3), denoising]
    model = MultiTaskModel(encoder, given).double()
    data = X, {task: TARGETS[task] for task in ("a", "b")}
    trainer = Trainer(model, "upgrad", batch_size=B, **options)
    trainer.fit(data, data, epochs=3)
    return model.state_dict(), dict(trainer.evaluate(data))


def test_several_processes_train_the_ensemble_that_one_would():
    weights, report = fitted()
    for found, other in in_processes(2, fitted):
        for name, expected in weights.items():
            assert_close(found[name], expected, rtol=1e-10, atol=1e-12, msg=name)
        assert other["a"]["loss"] == pytest.approx(report["a"]["loss"])


def test_micro_batches_make_the_step_of_the_whole_batch():
    found = []
    for accumulate in (1, 2):
        model = made(members=K)
        trainer = Trainer(model, "upgrad", batch_size=B, accumulate=accumulate)
        trainer.train_step({"inputs": X, "targets": TARGETS})
        found.append(model.state_dict())
    for name, expected in found[0].items():
        assert_close(found[1][name], expected, rtol=1e-9, atol=1e-12, msg=name)


class MemberByMember(nn.Module):
    """The members of an ensemble, one after the other, with its parameters."""

    gives = "members"

    def __init__(self, ensemble):
        super().__init__()
        self.ensemble, self.members, self.width = ensemble, ensemble.members, ensemble.width

    def forward(self, rows):
        each = [self.member(rows, member) for member in range(self.members)]
        return torch.stack(each, dim=1).flatten(0, 1)

    def member(self, rows, member):
        first, *layers = self.ensemble.stages
        state = first.row(rows) * first.scaling[member]
        for linear, activation, _ in layers:
            if linear.inputs is not None:
                state = state * linear.inputs[member]
            state = state @ linear.weight.T
            state = torch.addcmul(linear.bias[member], state, linear.outputs[member])
            state = activation(state)
        return state


OPTIONS = {
    "manual": {"weights": {"a": 1.0, "b": 0.5, "c": 2.0}},
    "gradnorm": {"layer": "all"},
    "gradient_ratio": {"layer": "all"},
}
OF_WHOLE_BATCHES = {"meta", "gradient_ratio"}


@pytest.mark.parametrize("balancer", others_slow(quick_cases.BALANCERS, list(BALANCERS)))
def test_every_balancer_makes_the_step_that_it_makes_of_members_one_by_one(balancer):
    def trainer(encoder, accumulate=1, head=None):
        torch.manual_seed(0)
        more = {} if head is None else {"head": head}
        given = [
            Regression("a", **more),
            Classification("b", classes=3, **more),
            Regression("c", **more),
        ]
        chosen = {"type": balancer, **OPTIONS.get(balancer, {})}
        sgd = {"type": "sgd", "learning_rate": 0.1}
        model = MultiTaskModel(encoder, given).double()
        return Trainer(model, chosen, optimizer=sgd, batch_size=B, accumulate=accumulate)

    def ensemble():
        torch.manual_seed(0)
        return Ensemble(D, members=K, hidden=[6, 5], activation="tanh", dropout=0.0)

    found = trainer(ensemble(), accumulate=1 if balancer in OF_WHOLE_BATCHES else 2)
    naive = trainer(MemberByMember(ensemble()), head=nn.Linear)
    for task in TARGETS:
        stacked, apart = found.model.heads[task].layers[0], naive.model.heads[task].heads
        for member, head in enumerate(apart):
            for name, parameter in head.named_parameters():
                parameter.data.copy_(getattr(stacked, name.rsplit(".")[-1])[member])
    for each in (found, naive):
        each.fit((X, TARGETS), (X, TARGETS), epochs=2)
    pairs = zip(found.model.shared_parameters(), naive.model.shared_parameters(), strict=True)
    for mine, theirs in pairs:
        assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_norms_on_the_last_layer_are_of_its_matrix_not_of_scalings():
    model = made(members=K)
    losses = model.losses(model(X), TARGETS)
    (found,) = norm_leaves(losses, balancing.create("gradnorm", list(TARGETS)), None)
    assert found is dict(model.named_parameters())["sharing.stages.0.stages.4.0.weight"]
