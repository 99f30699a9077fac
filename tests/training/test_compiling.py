"""Compiled parts train as the model does without, in every combination that is not refused."""

import shutil
from functools import partial

import pytest
import torch
from gloo import in_processes
from torch import nn
from torch.testing import assert_close

from motet.encoders import LSTM, Transformer
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS, SHARING
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression, SequenceLabelling
from motet.training import Trainer
from motet.training.passes import parts_to_compile
from tests.quick_compiling import quick  # noqa: F401  # a fixture of all tests

pytestmark = pytest.mark.filterwarnings("ignore")
"""While torch traces, its own warnings would be errors inside."""

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(21, 5, generator=DRAW)
DATA = (X, {"a": (X[:, 0] > 0).long(), "b": X[:, 1], "c": X[:, 2] * X[:, 3]})
OPTIONS = {
    "manual": {"weights": {"a": 1.0, "b": 0.5, "c": 2.0}},
    "gradnorm": {"layer": "all"},
}
TWICE = {"gradient_ratio"}  # needs second derivatives
QUICK = {"upgrad"}
NAMES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in BALANCERS
    if name not in TWICE
]


def encoder():
    return nn.Sequential(
        nn.Linear(5, 12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 6)
    )


def made(balancer="equal", sharing=None, **options):
    torch.manual_seed(0)
    tasks = [Classification("a", classes=2), Regression("b", head={"hidden": [4]}), Regression("c")]
    scheme = None if sharing is None else create_sharing(sharing[0], **sharing[1])
    model = MultiTaskModel(encoder(), tasks, sharing=scheme)
    sgd = {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9}
    chosen = (
        balancer
        if not isinstance(balancer, str)
        else {"type": balancer, **OPTIONS.get(balancer, {})}
    )
    return Trainer(model, chosen, optimizer=sgd, batch_size=8, **options)


def assert_same_training(make, data=DATA, rtol=1e-4):
    trained = []
    for on in (False, True):
        trainer = make(compile=on)
        trainer.fit(data, data, epochs=3)
        assert not any("forward" in vars(module) for module in trainer.model.modules())
        trained.append(trainer)
    one, other = trained
    for name, value in one.model.state_dict().items():
        assert_close(other.model.state_dict()[name], value, rtol=rtol, atol=1e-5, msg=name)
    for name, value in one.stages.state_dict().items():
        assert_close(other.stages.state_dict()[name], value, rtol=rtol, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_every_balancer_trains_as_without(name):
    """With a last batch that is smaller, and dropout."""
    assert_same_training(partial(made, name))


SCHEMES = {
    "hard": {"task_layers": 1},
    "soft": {},
    "mmoe": {"experts": 2},
    "cgc": {"experts": 2, "task_experts": 1},
    "ple": {"experts": 2, "task_experts": 1, "levels": 2},
    "cross_stitch": {},
    "routing": {},
    "progressive": {"epochs": 1},
    "attention": {},
    "dselect_k": {"experts": 2, "k": 1},
}


def test_every_scheme_is_here():
    assert SCHEMES.keys() == set(SHARING)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheme",
    SCHEMES,
)
@pytest.mark.parametrize("balancer", ["imtl", "mgda"])
def test_every_scheme_trains_as_without(scheme, balancer):
    assert_same_training(partial(made, balancer, (scheme, SCHEMES[scheme])))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("balancer", "options"),
    [
        ({"type": "upgrad", "at": "representation", "heads": "weighted"}, {}),
        ({"type": "upgrad", "memory": "low", "heads": "weighted"}, {"clip_norm": 0.1}),
        ({"type": "mgda", "heads": "weighted"}, {"accumulate": 3, "normalize_losses": "initial"}),
        ({"type": "pcgrad", "losses": "uncertainty"}, {"accumulate": 2, "clip_norm": 0.1}),
        ({"type": "cagrad", "every": 2}, {"deterministic": True}),
        ("uncertainty", {"accumulate": 3}),
    ],
)
def test_in_combination_with_other_options(balancer, options):
    assert_same_training(partial(made, balancer, **options))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("balancer", ["uncertainty", "pcgrad"])
def test_in_half_precision(precision, balancer):
    assert_same_training(partial(made, balancer, precision=precision), rtol=0.02)


@pytest.mark.slow
def test_groups_stay_apart():
    """Tasks that share nothing are balanced each group by itself, as without."""
    for balancer in ("imtl_g", "mgda"):
        groups = ("hard", {"groups": [["a", "b"], ["c"]]})
        assert_same_training(partial(made, balancer, groups))
    trainer = made("mgda", groups, compile=True)
    batch = {"inputs": X, "targets": DATA[1]}
    assert trainer.train_step(batch).balanced.components == (("a", "b"), ("c",))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: Transformer(20, width=8, heads=2, layers=2),
        lambda: Transformer(20, width=8, heads=2, layers=2, checkpointing=True),
    ],
)
def test_texts_of_any_length(make):
    lengths = torch.randint(1, 9, (21, 1), generator=torch.Generator().manual_seed(0))
    ids = torch.randint(1, 20, (21, 8), generator=torch.Generator().manual_seed(0))
    ids = ids.where(torch.arange(8) < lengths, 0)
    tags = (ids % 3).where(ids > 0, -100)
    batches = [
        {
            "inputs": {"ids": ids[k : k + 7, : int(lengths[k : k + 7].max())]},
            "targets": {
                "slots": tags[k : k + 7, : int(lengths[k : k + 7].max())],
                "a": DATA[1]["a"][k : k + 7],
            },
        }
        for k in (0, 7, 14)
    ]
    found = []
    for on in (False, True):
        torch.manual_seed(0)
        tasks = [
            SequenceLabelling("slots", classes=["O", "B-x", "I-x"]),
            Classification("a", classes=2),
        ]
        trainer = Trainer(MultiTaskModel(make(), tasks), "mgda", optimizer="sgd", compile=on)
        for batch in batches:
            trainer.train_step(batch)
        found.append(trainer.model.state_dict())
    for name, value in found[0].items():
        assert_close(found[1][name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_code_is_compiled_once_for_batches_of_any_number_of_rows():
    trainer = made("equal", compile=True)
    for rows in (8, 5, 7, 21, 1, 3):
        before = dict(torch._dynamo.utils.counters["stats"])
        trainer.train_step(
            {"inputs": X[:rows], "targets": {t: v[:rows] for t, v in DATA[1].items()}}
        )
        if rows != 8:
            assert torch._dynamo.utils.counters["stats"] == before


def text_batches(shapes):
    for rows, length, letters in shapes:
        ids = torch.randint(1, 20, (rows, length), generator=DRAW)
        text = {"ids": ids, "characters": torch.ones(rows, length, letters, dtype=torch.long)}
        targets = {"slots": ids % 3} | {task: DATA[1][task][:rows] for task in "ab"}
        yield {"inputs": text, "targets": targets}


@pytest.mark.slow
def test_a_run_on_texts_compiles_in_its_first_step_alone():
    """Over lengths, a smaller last batch, one of one row, stages of balancers and evaluation."""
    slots = SequenceLabelling("slots", classes=["O", "B-x", "I-x"], head={"hidden": [4]})
    tasks = [slots, Classification("a", classes=2), Regression("b", head={"hidden": [4]})]
    text = Transformer(20, width=8, heads=2, layers=1, characters={"width": 6})
    model = MultiTaskModel(text, tasks)
    stages = [{"type": "equal", "until": 1}, {"type": "upgrad", "until": 2}, "uncertainty"]
    trainer = Trainer(model, stages, compile=True)
    batches = list(text_batches([(8, 5, 4), (8, 3, 6), (8, 9, 2), (5, 4, 4), (1, 7, 3)]))
    trainer.train_step(batches[0])
    first = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    trainer.fit(batches, batches, epochs=3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == first > 0


def test_recurrent_layers_stay_as_they_are_and_others_are_compiled():
    tasks = [Classification("a", classes=2)]
    with pytest.raises(InputError, match="several layers that torch compiles"):
        Trainer(MultiTaskModel(LSTM(20, width=6), tasks), compile=True)
    encoders = {"text": LSTM(20, width=6), "numbers": encoder()}
    model = MultiTaskModel(tasks=tasks, encoders=encoders)
    assert parts_to_compile(model) == [encoders["numbers"]]
    inputs = {"text": {"ids": torch.ones(8, 3, dtype=torch.long)}, "numbers": X[:8]}
    Trainer(model, compile=True).train_step({"inputs": inputs, "targets": {"a": DATA[1]["a"][:8]}})


@pytest.mark.slow
def test_more_parts_of_one_class_than_variants_that_torch_keeps():
    torch.manual_seed(0)
    tasks = [Regression(f"t{k}", head={"hidden": [4] * (1 + k)}) for k in range(10)]
    trainer = Trainer(MultiTaskModel(encoder(), tasks), compile=True)
    assert len(parts_to_compile(trainer.model)) == 11
    batch = {"inputs": X, "targets": {task.name: DATA[1]["b"] for task in tasks}}
    trainer.train_step(batch)
    before = dict(torch._dynamo.utils.counters["stats"])
    trainer.train_step(batch)
    assert before["unique_graphs"] >= 11
    assert torch._dynamo.utils.counters["stats"] == before


@pytest.mark.slow
def test_a_resumed_trainer_continues_exactly_and_may_compile_or_not():
    kept, resumed, plain = made("moco", compile=True), made("moco", compile=True), made("moco")
    kept.train_epoch(DATA)
    for other in (resumed, plain):
        other.load_state(kept.state())
    for each in (kept, resumed, plain):
        each.train_epoch(DATA)
    for name, value in kept.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value)
        assert_close(plain.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_a_forward_of_ones_own_is_restored():
    trainer = made(compile=True)
    module = trainer.model.heads["b"]
    plain = module.forward
    own = module.forward = lambda state: plain(state)
    trainer.train_step({"inputs": X, "targets": DATA[1]})
    assert vars(module)["forward"] is own


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balancer", "message"),
    [
        ("gradient_ratio", "differentiates twice"),
        ({"type": "gradnorm"}, r"last shared layer.*layer: all"),
        ({"type": "mgda", "gramian": "layers"}, "reads products of layers"),
    ],
)
def test_balancers_that_need_what_compiled_code_hides_are_refused(balancer, message):
    with pytest.raises(InputError, match=rf"compile: .*{message}"):
        made(balancer, compile=True)


def test_models_without_anything_to_compile_are_refused():
    with pytest.raises(InputError, match="compile: found true, but neither an encoder nor a head"):
        Trainer(MultiTaskModel(nn.Linear(5, 4), [Regression("b")]), compile=True)
    wrapped = MultiTaskModel.wrap(nn.ModuleDict(), [Regression("b")])
    wrapped.weight = nn.Parameter(torch.zeros(1))
    with pytest.raises(
        InputError, match=r"compile: .*MultiTaskModel.wrap\(torch.compile\(module\)"
    ):
        Trainer(wrapped, compile=True)


def test_states_of_several_kinds_have_no_one_representation_in_compiled_code():
    tasks = [SequenceLabelling("slots", classes=["O", "B-x"]), Classification("a", classes=2)]
    model = MultiTaskModel(LSTM(20, width=6), tasks)
    with pytest.raises(InputError, match="compile: MGDA compares gradients at several states"):
        Trainer(model, {"type": "mgda", "at": "representation"}, compile=True)


def test_a_missing_compiler_is_an_error_before_training(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("CXX", "no-such-compiler")
    expected = r"compile: found true, but there is no C\+\+ compiler no-such-compiler; .*apt"
    with pytest.raises(InputError, match=expected):
        made(compile=True, device="cpu")


def test_several_processes_are_refused():
    def refused():
        with pytest.raises(InputError, match="compile: found true in several processes"):
            made(compile=True)
        return True

    assert all(in_processes(2, refused))


# Machine code ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("balancer", ["uncertainty", "upgrad", "graddrop"])
def test_machine_code_trains_as_without(balancer, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    assert_same_training(partial(made, balancer))
