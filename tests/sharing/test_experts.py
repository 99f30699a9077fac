"""MMoE, CGC and PLE: known answers, and the sums of the papers written out."""

import pytest
import torch
from schemes import TASKS, WIDTH, X, backbone, counted_rows, module
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.problems import InputError
from motet.sharing.experts import (
    Gate,
    LoopedExperts,
    StackedExperts,
    counting,
    together,
)


def build(name, network=None, **options):
    torch.manual_seed(0)
    stages = sharing.Stages.of(network or backbone())
    return sharing.create(name, **options).build(stages, TASKS, WIDTH).double()


def gate_weights(gate, state):
    return (state @ gate.linear.weight.T + gate.linear.bias).softmax(1)


def zero(gate):
    nn.init.zeros_(gate.linear.weight)
    nn.init.zeros_(gate.linear.bias)


# Known answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mmoe", "cgc", "ple"])
def test_with_one_expert_it_is_hard_sharing(name):
    own = {} if name == "mmoe" else {"task_experts": 0}
    network = backbone().double()
    found = build(name, network, experts=1, **own)
    for state in found(X, TASKS).values():
        assert_close(state, network(X))


@pytest.mark.parametrize(("name", "own"), [("mmoe", 0), ("cgc", 2)])
def test_gates_of_zero_take_the_mean_of_the_experts(name, own):
    options = {"task_experts": own} if own else {}
    found = build(name, experts=3, **options)
    level = found.levels[0]
    for task in TASKS:
        zero(level.gates[task])
    state = found.bottom(X)
    for task, mixed in found(X, TASKS).items():
        parts = [level.own[task](state)] if own else []
        assert_close(mixed, torch.cat([*parts, level.shared(state)], dim=1).mean(1))


@pytest.mark.parametrize("name", ["cgc", "ple"])
def test_without_experts_of_tasks_one_level_is_mmoe(name):
    levels = {"levels": 1} if name == "ple" else {}
    found = build(name, experts=3, task_experts=0, **levels)
    expected = build("mmoe", experts=3)
    assert found.state_dict().keys() == expected.state_dict().keys()
    assert_close(found(X, TASKS), expected(X, TASKS))


def test_ple_of_one_level_is_cgc():
    found = build("ple", experts=2, task_experts=2, levels=1)
    assert_close(found(X, TASKS), build("cgc", experts=2, task_experts=2)(X, TASKS))


# The papers' sums ----------------------------------------------------------------------------


def test_mmoe_is_the_sum_over_experts_weighed_by_the_gate_of_the_task():
    found = build("mmoe", experts=3)
    state = found.bottom(X)
    outputs = found.levels[0].shared(state)
    for task, mixed in found(X, TASKS).items():
        weights = gate_weights(found.levels[0].gates[task], state)
        expected = sum(weights[:, [i]] * outputs[:, i] for i in range(3))
        assert_close(mixed, expected)


def test_ple_is_level_by_level_what_the_paper_says():
    found = build("ple", experts=2, task_experts=1, levels=3).eval()
    shared = found.bottom(X)
    streams = dict.fromkeys(TASKS, shared)
    for level in found.levels:
        own = {task: level.own[task](streams[task]) for task in TASKS}
        common = level.shared(shared)
        everything = torch.cat([*own.values(), common], dim=1)
        gates = {task: gate_weights(level.gates[task], streams[task]) for task in TASKS}
        streams = {
            task: torch.einsum("be,bed->bd", gates[task], torch.cat([own[task], common], dim=1))
            for task in TASKS
        }
        if level.shared_gate is not None:
            weights = gate_weights(level.shared_gate, shared)
            shared = torch.einsum("be,bed->bd", weights, everything)
    assert [level.shared_gate is None for level in found.levels] == [False, False, True]
    assert_close(found(X, TASKS), streams)


def test_only_the_experts_with_the_largest_weights_count():
    gate = Gate(4, 5, top_k=2).double()
    weights = gate(X)
    assert (weights.count_nonzero(dim=1) == 2).all()
    scores = gate.linear(X)
    best = scores.topk(2, dim=1)
    assert_close(weights.gather(1, best.indices), best.values.softmax(1))
    assert_close(Gate(4, 5, top_k=5).double()(X).sum(1), torch.ones(7).double())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("positions", [(), (3,)], ids=["rows", "rows with positions"])
@pytest.mark.parametrize("bias", [True, False])
def test_experts_on_the_rows_that_count_give_what_all_rows_give(
    bias, positions, training, monkeypatch
):
    torch.manual_seed(0)
    layers = [[nn.Linear(4, 6, bias=bias), nn.GELU(), nn.Linear(6, 5, bias=bias)] for _ in range(6)]
    experts = StackedExperts(layers).double().train(training)
    gates = [Gate(4, 6, top_k=1).double() for _ in "ab"]
    inputs = torch.randn(40, *positions, 4, dtype=torch.float64, requires_grad=True)
    seen = counted_rows(monkeypatch)
    found = []
    for some in (False, True):
        features = inputs if not positions else inputs.mean(dim=1)
        weights = [gate(features) for gate in gates]
        states = experts(inputs, counting(weights) if some else None)
        outputs = [torch.einsum("be,be...->b...", each, states) for each in weights]
        parameters = [inputs, *experts.parameters(), *(p for g in gates for p in g.parameters())]
        slopes = torch.autograd.grad(sum(out.square().sum() for out in outputs), parameters)
        found.append([*outputs, *slopes])
    assert_close(found[1], found[0])
    picked = torch.stack([gate.linear(features).argmax(1) for gate in gates]).T
    rows = [int((picked == expert).any(1).sum()) for expert in range(6)]
    assert seen == [rows, rows]


def test_experts_of_mmoe_are_computed_on_the_rows_alone_for_which_they_count(monkeypatch):
    model = build("mmoe", experts=6, top_k=1)
    seen = counted_rows(monkeypatch)
    model(X, ["a"])
    assert [sum(rows) for rows in seen] == [len(X)] * 3
    seen.clear()
    build("mmoe", experts=2, top_k=2)(X, TASKS)  # all rows count for all experts
    assert not seen


def test_mmoe_with_top_k_takes_a_batch_of_no_rows():
    assert build("mmoe", experts=6, top_k=1)(X[:0], TASKS)["a"].shape == (0, WIDTH)


@pytest.mark.filterwarnings("ignore")  # of torch's own compiler
def test_compiled_mmoe_with_top_k_is_one_graph_for_all_inputs():
    model = build("mmoe", experts=6, top_k=1).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for rows in (X, X.flip(1)):
        assert_close(compiled(rows, TASKS), model(rows, TASKS))


# Options -------------------------------------------------------------------------------------


def test_experts_are_copies_of_the_stages_after_the_first_or_one_layer_of_their_width():
    copies = build("mmoe", experts=4)
    assert [p.shape for p in copies.levels[0].shared.parameters()][::2] == [
        (4, 5, 6),
        (4, 5, 5),
        (4, 3, 5),
    ]
    layers = build("mmoe", experts=4, expert_width=9)
    assert [p.shape for p in layers.levels[0].shared.parameters()] == [(4, 9, 3), (4, 9)]
    assert layers.width == 9
    assert layers(X, ["b"])["b"].shape == (7, 9)
    levels = build("ple", levels=2, expert_width=9)
    assert [level.features.width for level in levels.levels] == [3, 9]


def test_stages_are_dealt_out_to_the_levels_in_order():
    found = build("ple", experts=1, task_experts=1, levels=2)
    shapes = [[tuple(p.shape) for p in level.shared.parameters()] for level in found.levels]
    assert [len(each) // 2 for each in shapes] == [2, 1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ple", {"levels": 4}, "at least 5 stages; found 4 stages"),
        (
            "mmoe",
            {"experts": 2, "top_k": 3},
            "top_k: found 3, expected at most 2, the number of experts",
        ),
        ("mmoe", {"experts": 0}, "expected a number > 0"),
        ("mmoe", {"levels": 2}, "'mmoe' has no option 'levels'"),
        ("cgc", {"top_k": 2}, "'cgc' has no option 'top_k'"),
        ("cgc", {"levels": 2}, "'cgc' has no option 'levels'"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        build(name, **options)


def test_a_backbone_of_one_piece_has_experts_of_a_width():
    class Block(nn.Linear):
        pass

    with pytest.raises(
        InputError, match=r"at least 2 stages; found 1 stage \(Block\); give expert"
    ):
        build("mmoe", Block(4, WIDTH))
    assert build("mmoe", Block(4, WIDTH), expert_width=5)(X, ["a"])["a"].shape == (7, 5)


# Together ------------------------------------------------------------------------------------


def linear_stages():
    return sharing.Stages.of(
        nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 5, bias=False), nn.Tanh())
    )


@pytest.mark.parametrize("shape", [(7, 4), (7, 3, 4)])
def test_stacked_experts_compute_what_they_compute_one_by_one(shape):
    torch.manual_seed(0)
    experts = linear_stages().copies(3)
    inputs = torch.randn(shape)
    stacked = together(experts)
    assert isinstance(stacked, StackedExperts)
    expected = torch.stack([expert.chain()(inputs) for expert in experts], dim=1)
    assert_close(stacked(inputs), expected)
    assert [name for name, _ in stacked.named_parameters()] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.weight",
    ]


def test_experts_of_other_layers_run_one_by_one():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU())
    experts = sharing.Stages.of(layers).copies(3)
    looped = together(experts)
    assert isinstance(looped, LoopedExperts)
    assert looped(X.float()).shape == (7, 3, 6)


class Doubled(nn.Linear):
    def forward(self, inputs):
        return 2 * super().forward(inputs)


@pytest.mark.parametrize(
    "kind", [Doubled, lambda *sizes: nn.utils.spectral_norm(nn.Linear(*sizes))]
)
def test_a_linear_layer_that_computes_something_else_goes_on_computing_it(kind):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), kind(6, WIDTH)).double().eval()
    found = build("mmoe", network, experts=1).eval()
    assert_close(found(X, ["a"])["a"], network(X))


def test_frozen_layers_stay_frozen_when_stacked():
    stages = linear_stages()
    stages[0].requires_grad_(False)
    trained = {name: p.requires_grad for name, p in together(stages.copies(2)).named_parameters()}
    assert trained == {"layers.0.weight": False, "layers.0.bias": False, "layers.2.weight": True}


def test_images_go_through_experts_and_gates():
    torch.manual_seed(0)
    middle = nn.Conv2d(4, 5, 3)
    middle.width = 5  # what comes after does not tell
    network = [nn.Conv2d(1, 4, 3), middle, nn.Sequential(nn.Flatten(), nn.Linear(20, 6))]
    images = torch.randn(7, 1, 6, 6)
    for options in ({"name": "mmoe", "experts": 2}, {"name": "ple", "levels": 2}):
        found = sharing.create(**options).build(sharing.Stages.of(network), TASKS, 6)
        assert found(images, ["a"])["a"].shape == (7, 6)
    level = found.levels[0]
    maps = found.bottom(images)
    weights = gate_weights(level.gates["a"], maps.mean((2, 3)))
    expected = torch.einsum(
        "be,bechw->bchw", weights, torch.cat([level.own["a"](maps), level.shared(maps)], dim=1)
    )
    streams, _ = level(dict.fromkeys(TASKS, maps), maps, ["a"])
    assert_close(streams["a"], expected)


# What they tell ------------------------------------------------------------------------------


def test_gates_tell_their_running_mean_over_batches_of_training():
    found = module("mmoe", experts=2)
    gate = found.levels[0].gates["a"]
    assert found.describe()["gates"]["a"] == [0.5, 0.5]
    found.eval()(X, TASKS)
    assert found.describe()["gates"]["a"] == [0.5, 0.5]
    found.train()(X, ["a"])
    mean = gate_weights(gate, found.bottom(X)).mean(0)
    assert_close(gate.mean, 0.9 * torch.tensor([0.5, 0.5]).double() + 0.1 * mean)
    assert found.describe()["gates"]["b"] == [0.5, 0.5]


def test_levels_tell_apart():
    told = module("ple", experts=2, task_experts=1, levels=2).describe()
    assert [list(level) for level in told["levels"]] == [["gates", "shared_gate"], ["gates"]]
    assert [len(level["gates"]["a"]) for level in told["levels"]] == [3, 3]
    assert len(told["levels"][0]["shared_gate"]) == 5
