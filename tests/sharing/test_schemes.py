"""What holds for every registered scheme, whatever it is."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file, save_file
from schemes import FORMS, TARGETS, TASKS, WIDTH, X, backbone, model, module, reached, scheme
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from motet import balancing, sharing
from motet.balancing import JacobianBalancer, LossBalancer, backward
from motet.model import MultiTaskModel
from motet.states import TokenStates
from motet.tasks import Regression
from motet.training import Trainer
from motet.training.passes.owners import Owners

AROUND = (
    {},
    {"groups": [["a", "c"], ["b"]]},
    {"task_embedding": 5},
    {"groups": [["b"], ["c", "a"]], "task_embedding": 4},
    {"groups": [["a"], ["b"], ["c"]]},
)
READ_BY_OTHERS = {"progressive", "progressive without adapters"}
"""Schemes in which what trains with one task alone is computed for others too."""
CHOICES = (*sharing.available(), *FORMS)
every_scheme = pytest.mark.parametrize("name", CHOICES)
AROUND_EACH = [
    pytest.param(
        name,
        around,
        id=f"{name} {around}",
        marks=() if nth == at % len(AROUND) else pytest.mark.slow,
    )
    for at, name in enumerate(CHOICES)
    for nth, around in enumerate(AROUND)
]
"""Each scheme with one of what may be around it; the rest is slow."""
every_scheme_also_around = pytest.mark.parametrize(("name", "around"), AROUND_EACH)


@every_scheme_also_around
def test_it_computes_the_tasks_asked_for_in_its_width(name, around):
    found = module(name, **around)
    states = found(X, ("c", "a"))
    assert list(states) == ["c", "a"]
    assert all(state.shape == (len(X), found.width) for state in states.values())


@every_scheme
@pytest.mark.parametrize("training", [True, False])
def test_no_rows_give_no_states_and_leave_what_is_reported(name, training):
    found = module(name).train(training)
    before = repr(found.describe())
    assert all(state.shape == (0, found.width) for state in found(X[:0], TASKS).values())
    assert repr(found.describe()) == before


@every_scheme_also_around
def test_a_task_is_the_same_alone_as_with_the_others(name, around):
    found = module(name, **around).eval()
    together = found(X, TASKS)
    for task in TASKS:
        assert_close(found(X, [task])[task], together[task])


@every_scheme_also_around
def test_its_own_are_exactly_the_parameters_that_one_task_alone_reaches(name, around):
    found = module(name, **around)
    tasks = reached(found)
    assert set(tasks) == set(found.parameters())
    for task in TASKS:
        own = {parameter for parameter, who in tasks.items() if who == {task}}
        assert set(found.task_parameters(task)) == own


@every_scheme_also_around
def test_every_parameter_receives_a_gradient(name, around):
    found = module(name, **around)
    with torch.no_grad():  # what starts at zero hides what comes before it
        for parameter in found.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    total = sum((state**2).sum() for state in found(X, TASKS).values())
    penalty = found.penalty()
    (total if penalty is None else total + penalty).backward()
    flat = [n for n, p in found.named_parameters() if p.grad is None or not p.grad.any()]
    assert flat == []


@every_scheme_also_around
@pytest.mark.parametrize(
    "balancer",
    [
        "upgrad",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("uncertainty", "graddrop")),
    ],
)
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_gradients_are_those_of_a_naive_computation_task_by_task(name, balancer, around):
    found, expected = model(name, **around).eval(), model(name, **around).eval()
    made = balancing.create(balancer, TASKS).double()
    losses = found.losses(found(X), TARGETS)
    leaves = {} if isinstance(made, LossBalancer) else Owners(found).lists(made, losses, TASKS)
    backward(losses, made, **leaves)
    naive(expected, balancing.create(balancer, TASKS).double())
    pairs = zip(found.named_parameters(), expected.parameters(), strict=True)
    for (parameter, one), other in pairs:
        assert_close(one.grad, other.grad, msg=parameter)


class Sum(nn.Module):
    """The first stage of `backbone`, for inputs in two parts."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.width = nn.Linear(2, 6), nn.Linear(2, 6), 6

    def forward(self, inputs):
        return torch.tanh(self.left(inputs["left"]) + self.right(inputs["right"]))


def several():
    return lambda: [Sum(), *sharing.Stages.of(backbone())[1:]]


PARTS = {"left": X[:, :2], "right": X[:, 2:]}
NONE_OF_A = {**TARGETS, "a": torch.full_like(TARGETS["a"], torch.nan)}
CASES = (
    (backbone, X, list("abc"), NONE_OF_A),
    (several, PARTS, list("abc"), TARGETS),
    (several, PARTS, list("cb"), TARGETS),
    (backbone, X, "c", TARGETS),
)
"""Encoders, inputs, tasks that are asked for, targets."""


SOME = [
    pytest.param(name, case, marks=() if case == at % len(CASES) else pytest.mark.slow)
    for at, name in enumerate(CHOICES)
    for case in range(len(CASES))
]
"""Each scheme meets a case, and each case some of them; the rest is slow."""


@pytest.mark.parametrize(("name", "case"), SOME)
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_so_are_those_of_some_tasks_and_of_several_inputs_also_after_loading(name, case):
    encoder, inputs, asked, targets = CASES[case]
    # each scheme meets each case, and over the cases each family of balancers and what is around
    at = list(CHOICES).index(name) + case
    balancer, around = ("upgrad", "graddrop", "uncertainty")[at % 3], AROUND[at % len(AROUND)]
    saved = model(name, seed=1, encoder=encoder, **around).state_dict()
    found, expected = (model(name, encoder=encoder, **around).eval() for _ in range(2))
    for each in (found, expected):
        each.load_state_dict(saved)
    made = balancing.create(balancer, TASKS).double()
    losses = found.losses(found(inputs, asked), targets)
    leaves = {} if isinstance(made, LossBalancer) else Owners(found).lists(made, losses, TASKS)
    backward(losses, made, **leaves)
    naive(expected, balancing.create(balancer, TASKS).double(), inputs, asked, targets)
    for (key, one), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        zero = torch.zeros_like(one)
        pair = (zero if each.grad is None else each.grad for each in (one, other))
        assert_close(*pair, msg=f"{key} {balancer} {around}")
    absent = [task for task in TASKS if task not in losses]
    assert all(p.grad is None for task in absent for p in found.task_parameters(task))


def naive(expected, balancer, inputs=X, asked=TASKS, targets=TARGETS):
    """Leave in .grad what a balancer makes of gradients computed one by one."""
    losses = expected.losses(expected(inputs, asked), targets)
    present = torch.tensor([TASKS.index(task) for task in losses])
    if isinstance(balancer, LossBalancer):
        balancer(torch.stack(list(losses.values())), present).backward()
        return
    tasks = reached_by_losses(expected, losses)
    own = {id(p) for task in TASKS for p in expected.task_parameters(task)}
    shared = [parameter for parameter in tasks if id(parameter) not in own] or list(tasks)
    jacobian = torch.stack([gradient(loss, shared) for loss in losses.values()])
    values = torch.stack([loss.detach() for loss in losses.values()])
    direction = torch.zeros_like(jacobian[0])
    for group in components({parameter: tasks[parameter] for parameter in shared}, losses):
        rows = torch.tensor([row for row, task in enumerate(losses) if task in group])
        direction += direction_of(jacobian[rows], balancer, values[rows], present[rows])
    parts = direction.split([parameter.numel() for parameter in shared])
    for parameter, part in zip(shared, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    for parameter, (task, *_) in tasks.items():
        if parameter.grad is None:
            parameter.grad = gradient(losses[task], [parameter]).view_as(parameter)


def reached_by_losses(expected, losses):
    tasks = {}
    for parameter in expected.parameters():
        for task, loss in losses.items():
            (found,) = torch.autograd.grad(loss, parameter, retain_graph=True, allow_unused=True)
            if found is not None:
                tasks.setdefault(parameter, set()).add(task)
    return tasks


def components(tasks, losses):
    groups = [{task} for task in losses]
    for who in tasks.values():
        joined = [group for group in groups if group & who]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return sorted(groups, key=min)


def gradient(loss, parameters):
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def direction_of(jacobian, balancer, losses, places):
    if isinstance(balancer, JacobianBalancer):
        return balancer(jacobian, losses, places)
    return balancer(jacobian @ jacobian.T, losses, places).to(jacobian) @ jacobian


@every_scheme_also_around
def test_a_disabled_task_costs_nothing_and_its_own_parameters_do_not_move(name, around):
    found = model(name, **around)
    with FlopCounterMode(display=False) as whole:
        found(X)
    found.disable_task("b")
    with FlopCounterMode(display=False) as without:
        found(X)
    assert without.get_total_flops() < whole.get_total_flops()
    before = [parameter.clone() for parameter in found.task_parameters("b")]
    used = []
    own = {id(parameter) for parameter in found.task_parameters("b")}
    for part in found.modules():
        if any(id(parameter) in own for parameter in part.parameters(recurse=False)):
            part.register_forward_hook(lambda part, *_: used.append(part))
    trainer = Trainer(found, optimizer={"type": "sgd", "weight_decay": 0.1}, batch_size=7)
    for _ in range(2):
        trainer.train_step({"inputs": X, "targets": TARGETS})
    assert used == [] or name in READ_BY_OTHERS
    for parameter, kept in zip(found.task_parameters("b"), before, strict=True):
        assert parameter.equal(kept)


@every_scheme_also_around
def test_it_is_saved_and_loaded_by_its_state(name, around, tmp_path):
    found, other = model(name, **around), model(name, seed=1, **around)
    Trainer(found, batch_size=7).train_step({"inputs": X, "targets": TARGETS})
    save_file({key: value.clone() for key, value in found.state_dict().items()}, tmp_path / "m")
    other.load_state_dict(load_file(tmp_path / "m"))
    for task, raw in found.eval()(X).items():
        assert raw.equal(other.eval()(X)[task])
    assert found.sharing.describe() == other.sharing.describe()


@every_scheme
def test_the_seed_alone_decides_the_first_weights(name):
    for one, other in zip(model(name).parameters(), model(name).parameters(), strict=True):
        assert one.equal(other)


@every_scheme
def test_inputs_may_be_several(name):
    parts, joined = model(name, encoder=several).eval(), model(name).eval()
    assert list(parts(PARTS)) == list(joined(X))


class Words(nn.Linear):
    """A last stage that gives states of words, and their mean."""

    gives = "tokens"

    def forward(self, inputs):
        states = super().forward(inputs)
        return TokenStates(states, torch.zeros(states.shape[:2], dtype=torch.bool), states.mean(1))


class Rows(Words):
    gives = "rows"

    def forward(self, inputs):
        return super().forward(inputs).pooled


@every_scheme_also_around
def test_tasks_of_rows_get_the_state_of_the_row_from_an_encoder_of_words(name, around):
    texts = X.unsqueeze(1) * torch.tensor([1.0, -2.0, 0.5], dtype=X.dtype).view(1, 3, 1)
    of_words, of_rows = (
        model(name, encoder=lambda last=last: [*backbone()[:-2], last(5, WIDTH)], **around).eval()
        for last in (Words, Rows)
    )
    expected = of_rows(texts)
    for task, raw in of_words(texts).items():
        assert_close(raw, expected[task])


@pytest.mark.parametrize("around", [{}, {"groups": [["a", "c"], ["b"]]}], ids=str)
def test_task_embeddings_condition_states_of_words_too(around):
    found = module_of_words(task_embedding=3, **around)
    with torch.no_grad():
        for key, parameter in found.named_parameters():
            if key.endswith("map.bias"):
                parameter.add_(0.5)
    texts = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    plain, conditioned = module_of_words(**around)(texts, ["b"])["b"], found(texts, ["b"])["b"]
    assert_close(conditioned.states, 1.5 * plain.states + 0.5)
    assert_close(conditioned.pooled, 1.5 * plain.pooled + 0.5)


def module_of_words(**around):
    torch.manual_seed(0)
    return sharing.create("hard", **around).build([Words(4, WIDTH)], TASKS, WIDTH)


def test_calls_for_different_tasks_at_once_do_not_mix_their_embeddings():
    found = module("hard", task_embedding=3).eval()
    with torch.no_grad():
        for seed, (key, parameter) in enumerate(found.named_parameters()):
            if "map" in key or "embeddings" in key:
                parameter.normal_(generator=torch.Generator().manual_seed(seed))
        expected = found(X, TASKS)
        meet = threading.Barrier(len(TASKS))  # all are inside their first stage at the same time
        found.inner.stages[0].stage.register_forward_hook(lambda *_: wait(meet))
        with ThreadPoolExecutor(len(TASKS)) as pool:
            calls = {task: pool.submit(no_grad(found), X, [task]) for task in TASKS}
            together = {task: call.result()[task] for task, call in calls.items()}
    for task in TASKS:
        assert_close(together[task], expected[task], rtol=0, atol=0)
    assert not torch.equal(expected["a"], expected["b"])


def wait(barrier):
    barrier.wait(timeout=20)


def no_grad(function):
    """Threads have their own mode of gradients."""
    return torch.no_grad()(function.forward)


@every_scheme
def test_one_task_alone_can_have_it(name):
    found = MultiTaskModel(backbone(), [Regression("a")], sharing=scheme(name))
    assert found(X.float())["a"].shape == (7,)
    assert found.sharing.width == WIDTH or name != "hard"


@every_scheme_also_around
def test_what_it_describes_are_plain_values(name, around):
    found = module(name, **around)
    found(X, TASKS)

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(each) for key, each in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return isinstance(value, (str, int, float))

    assert plain(found.describe())


@every_scheme
def test_tasks_of_different_groups_share_nothing(name):
    tasks = reached(module(name, groups=[["a", "c"], ["b"]]))
    assert all(who <= {"a", "c"} or who == {"b"} for who in tasks.values())


@every_scheme
def test_task_embeddings_change_nothing_at_first_and_something_when_trained(name):
    found = module(name, task_embedding=True).eval()
    assert found.embeddings["a"].weight.shape == (1, 64)
    before = found(X, TASKS)
    with torch.no_grad():
        found.embeddings["a"].weight.add_(1)
    assert_close(found(X, TASKS), before, rtol=0, atol=0)
    with torch.no_grad():
        for key, parameter in found.named_parameters():
            if key.endswith("map.weight"):
                parameter.add_(0.1)
    for task, state in found(X, TASKS).items():
        assert not torch.allclose(state, before[task])
