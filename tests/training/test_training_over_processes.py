"""Several processes train the model that one would: same weights, records and reports."""

import pytest
import quick_cases
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from motet.data.batches import Batch
from motet.data.several import Sources
from motet.encoders import LSTM, Transformer
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS, SCHEDULERS, SHARING
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Denoising, Ranking, Regression, SequenceLabelling
from motet.tasks.denoising import Cells
from motet.training import Interrupted, Observer, Trainer
from tests.gloo import in_processes

GENERATOR = torch.Generator().manual_seed(0)
ROWS = 23
X = torch.randn(ROWS, 5, generator=GENERATOR, dtype=torch.float64)
A = (X[:, 0] > 0).long()
B = X[:, 1] * 2 + 0.1
C = X[:, 2].clone()
A[:12] = -100  # labels are spread unevenly
B[20:] = torch.nan
C[:2] = torch.tensor([-1.0, 1.0])
C[2:] = torch.nan  # on one process only, and in one or two steps of an epoch
DATA = X, {"a": A, "b": B, "c": C}
VALID = X[:9] + 0.1, {"a": A[9:18], "b": B[:9], "c": X[:9, 2]}
TASKS = ("a", "b", "c")
SCHEMES = {"progressive": {"epochs": 1}, "mmoe": {"experts": 5, "top_k": 2}}
OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 0.5, "c": 2.0}}}


def network(dropout=0.3):
    first = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout))
    second = nn.Sequential(nn.Linear(8, 6), nn.Dropout(dropout), nn.Tanh())
    return nn.Sequential(first, second, nn.Linear(6, 6))


def tasks():
    return [Classification("a", classes=2), Regression("b"), Regression("c")]


def fitted(balancer="equal", *, sharing=None, model=None, data=DATA, valid=VALID, epochs=2, **more):
    """Train five steps or more, and return all that training leaves."""
    torch.manual_seed(0)
    if model is None:
        scheme = None if sharing is None else create_sharing(sharing, **SCHEMES.get(sharing, {}))
        model = MultiTaskModel(network(), tasks(), sharing=scheme)
    else:
        model = model()
    model = model.double()
    options = {"optimizer": {"type": "adamw", "learning_rate": 0.01}, "batch_size": 10, **more}
    trainer = Trainer(model, balancer, **options)
    trainer.fit(data, valid, epochs=epochs)
    records = [{k: v for k, v in each.items() if k != "seconds"} for each in trainer.history]
    tensors, numbers = trainer.state()
    del numbers["reached"]  # what graphs showed, where they were looked at
    report = trainer.evaluate(valid) if valid is not None else {}
    return {"tensors": tensors, "numbers": numbers, "records": records, "report": dict(report)}


def assert_same(one, many):
    """Compare what one process left with what each of several did."""
    for each in many:
        assert each["tensors"].keys() == one["tensors"].keys()
        for name, expected in one["tensors"].items():
            assert_close(each["tensors"][name], expected, rtol=1e-12, atol=1e-12, msg=name)
        assert_close_numbers(each["numbers"], one["numbers"])
        assert_close_numbers(each["records"], one["records"])
        assert_close_numbers(each["report"], one["report"])
    for each in many[1:]:  # they are equal to the last bit
        assert all(torch.equal(each["tensors"][n], t) for n, t in many[0]["tensors"].items())
        assert each["records"] == many[0]["records"] or "nan" in str(many[0]["records"])


def assert_close_numbers(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, each in expected.items():
            assert_close_numbers(found[name], each)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close_numbers(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
    else:
        assert found == expected


def compare(count, function, *arguments, **options):
    one = function(*arguments, **options)
    assert_same(one, in_processes(count, lambda: function(*arguments, **options)))


def together(count, cases):
    """Train several cases in the same processes."""
    ones = {name: fitted(**case) for name, case in cases.items()}
    many = in_processes(count, lambda: {name: fitted(**case) for name, case in cases.items()})
    for name, one in ones.items():
        try:
            assert_same(one, [each[name] for each in many])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


BY_BALANCER = {name: {"balancer": {"type": name, **OPTIONS.get(name, {})}} for name in BALANCERS}
NAMES = list(BY_BALANCER)
WITHOUT_NORMS = [name for name in NAMES if name not in ("gradnorm", "gradient_ratio")]


@pytest.mark.parametrize(
    ("names", "count"),
    [
        pytest.param(quick_cases.BALANCERS, 2, id="kinds-2"),
        *(
            pytest.param(NAMES[k::3], count, id=f"{k}-{count}", marks=pytest.mark.slow)
            for count in (2, 4)
            for k in range(3)
        ),
    ],
)
def test_every_balancer_makes_the_steps_of_one_process(names, count):
    together(count, {name: BY_BALANCER[name] for name in names})


BY_SCHEDULER = {
    f"{name} {combine}" if combine else name: {
        "balancer": balancer,
        "scheduling": {"type": name, **({"combine": combine} if combine else {})},
    }
    for name in SCHEDULERS
    for combine, balancer in ((None, "pcgrad"), ("cycle", "uncertainty"))
    if not (combine and name in ("all", "task_balanced"))
}
BY_SCHEME = {
    name: {
        **BY_BALANCER[WITHOUT_NORMS[(7 * place + 4) % len(WITHOUT_NORMS)]],
        "sharing": name,
        "epochs": 3 if name in SCHEMES else 1,
    }
    for place, name in enumerate(SHARING)
}
QUICK_SCHEDULERS = ["random", "annealed cycle", "task_balanced", "performance", "curriculum cycle"]
"""Draws and cycles, also of what counts rows and of what follows scores."""
MORE_SCHEMES = {
    f"{name}, {balancer}": {**BY_BALANCER[balancer], "sharing": name, "epochs": 3}
    for name in SHARING
    for balancer in ("upgrad", "uncertainty")
}


def texts():
    """Texts of different lengths, word labels, rows of groups, and an auxiliary task."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 7, (ROWS, 1), generator=generator)
    ids = torch.randint(1, 20, (ROWS, 6), generator=generator).where(torch.arange(6) < lengths, 0)
    return ids, {"slots": (ids % 3).where(ids > 0, -100), "a": A}


def text_model(encoder):
    slots = SequenceLabelling("slots", classes=["O", "B-x", "I-x"], decoder="crf")
    return MultiTaskModel(encoder, [slots, Classification("a", classes=2)])


def checkpointed():
    return Transformer(20, width=8, heads=2, layers=2, dropout=0.3, checkpointing=True)


def ranking_model():
    return MultiTaskModel(network(), [Ranking("rank", form="listwise"), Regression("b")])


def ranked():
    query = torch.arange(ROWS, dtype=torch.float64) % 5
    relevance = (torch.arange(ROWS) % 3).double()
    return X, {"rank": torch.stack([relevance, query], dim=1), "b": B}


def with_auxiliary(**options):
    more = [Denoising("clean", cells=Cells((0, 1, 2, 3, 4)), **options), *tasks()]
    return MultiTaskModel(network(), more)


def sources(rows=11):
    first = X[:rows], {"a": (X[:rows, 1] > 0).long()}
    return Sources({"one": first, "two": (X[rows:], {"b": B[rows:], "c": X[rows:, 3]})})


TEXTS, RANKED = texts(), ranked()
FEW = (
    X[:13],
    {task: target[10:23] if task == "a" else target[:13] for task, target in DATA[1].items()},
)
CASES = {
    "micro-batches": {"balancer": "pcgrad", "accumulate": 3},
    "micro-batches weighted by losses": {"balancer": "dwa", "accumulate": 4},
    "micro-batches, fixed weights": {"balancer": "equal", "accumulate": 3},
    "micro-batches, normalised": {
        "balancer": "upgrad",
        "accumulate": 2,
        "normalize_losses": "initial",
    },
    "normalised": {"balancer": "uncertainty", "normalize_losses": "initial"},
    "norms where nothing is shared": {"balancer": "gradnorm", "freeze": ["encoder"]},
    "ratios where nothing is shared": {"balancer": "gradient_ratio", "freeze": ["encoder"]},
    "clipped": {"balancer": "cagrad", "clip_norm": 0.05},
    "last batch smaller than the processes": {"batch_size": 11, "data": FEW, "balancer": "mgda"},
    "batches smaller than the processes": {"batch_size": 1, "balancer": "equal", "epochs": 1},
    "inner balancer": {"balancer": {"type": "nash", "losses": {"type": "imtl_l"}}},
    "representation": {"balancer": {"type": "pcgrad", "at": "representation"}},
    "deterministic": {"balancer": "pcgrad", "deterministic": True},
    "low memory": {"balancer": {"type": "upgrad", "memory": "low"}},
    "stages": {"balancer": [{"until": 1, "type": "dwa"}, {"type": "pcgrad"}]},
    "several sources": {"data": sources(), "valid": sources(), "balancer": "aligned"},
    "several sources in passes of their own": {
        "data": sources(),
        "valid": sources(),
        "accumulate": 2,
        "balancer": "equal",
    },
    "texts": {
        "model": lambda: text_model(LSTM(20, width=6, layers=2, dropout=0.3)),
        "data": TEXTS,
        "valid": TEXTS,
    },
    "attention": {
        "model": lambda: text_model(Transformer(20, width=8, heads=2, layers=1, dropout=0.3)),
        "data": TEXTS,
        "valid": TEXTS,
        "balancer": "pcgrad",
        "optimizer": "sgd",
    },
    "checkpointed": {
        "model": lambda: text_model(checkpointed()),
        "data": TEXTS,
        "valid": TEXTS,
        "balancer": "upgrad",
        "optimizer": "sgd",
    },
    "checkpointed micro-batches": {
        "model": lambda: text_model(checkpointed()),
        "data": TEXTS,
        "valid": TEXTS,
        "balancer": "dwa",
        "accumulate": 2,
        "optimizer": "sgd",
    },
    "checkpointed, looking ahead": {
        "model": lambda: text_model(checkpointed()),
        "data": TEXTS,
        "valid": TEXTS,
        "balancer": "meta",
        "optimizer": "sgd",
    },
    "groups of rows": {"model": ranking_model, "data": RANKED, "valid": RANKED, "optimizer": "sgd"},
    "groups in micro-batches": {
        "model": ranking_model,
        "data": RANKED,
        "valid": RANKED,
        "optimizer": "sgd",
        "accumulate": 2,
    },
    "auxiliary": {"model": lambda: with_auxiliary(), "balancer": "pcgrad"},
    "auxiliary, sometimes": {
        "model": lambda: with_auxiliary(frequency={"every": 2}),
        "accumulate": 2,
    },
    "auxiliary, balanced": {
        "model": lambda: with_auxiliary(balanced=True),
        "balancer": "upgrad",
    },
    "kept for each task, evaluated by steps": {"keep": "each", "evaluate_every": 2, "patience": 2},
}


QUICK = [
    "micro-batches",
    "micro-batches weighted by losses",
    "micro-batches, normalised",
    "norms where nothing is shared",
    "clipped",
    "last batch smaller than the processes",
    "low memory",
    "stages",
    "several sources in passes of their own",
    "checkpointed micro-batches",
    "groups in micro-batches",
    "auxiliary, sometimes",
    "kept for each task, evaluated by steps",
]
"""Most of what makes processes differ in their rows and passes; the others combine the same."""


@pytest.mark.parametrize(
    ("names", "count"),
    [
        pytest.param(QUICK, 2, id="2"),
        *(pytest.param(CASES, n, id=f"all-{n}", marks=pytest.mark.slow) for n in (2, 4)),
    ],
)
def test_every_kind_of_step_is_that_of_one_process(names, count):
    together(count, {name: CASES[name] for name in names})


@pytest.mark.parametrize(
    ("cases", "count"),
    [
        pytest.param({name: BY_SCHEDULER[name] for name in QUICK_SCHEDULERS}, 2, id="some"),
        pytest.param({name: BY_SCHEME[name] for name in quick_cases.SHARING}, 2, id="kinds"),
        pytest.param(BY_SCHEME, 2, id="schemes-2", marks=pytest.mark.slow),
        pytest.param(BY_SCHEDULER, 2, id="schedulers-2", marks=pytest.mark.slow),
        pytest.param(BY_SCHEDULER, 4, id="schedulers-4", marks=pytest.mark.slow),
        pytest.param(MORE_SCHEMES, 4, id="schemes-4", marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
@pytest.mark.filterwarnings("ignore:.* so PCGrad has nothing to balance")
@pytest.mark.filterwarnings("ignore:scheduling")
def test_every_scheduler_and_scheme_makes_the_steps_of_one_process(cases, count):
    together(count, cases)


def trainer(**options):
    torch.manual_seed(0)
    model = MultiTaskModel(network(), tasks()).double()
    return Trainer(model, "pcgrad", batch_size=10, lr_schedule="constant", **options)


def test_a_state_continues_on_another_number_of_processes():
    def first():
        made = trainer()
        made.fit(DATA, VALID, epochs=2)
        return made.state()

    def rest(state):
        made = trainer()
        made.load_state(state)
        made.fit(DATA, VALID, epochs=4)
        return made.model.state_dict()

    expected = trainer()
    expected.fit(DATA, VALID, epochs=4)
    state = in_processes(2, first)[0]
    for found in (rest(state), in_processes(4, rest, state)[3]):
        for name, value in expected.model.state_dict().items():
            assert_close(found[name], value, rtol=1e-12, atol=1e-12)


def test_gradients_are_measured_as_in_one_process():
    look = {"every": 2, "affinity": "exact"}
    cases = {
        balancer: {"balancer": balancer, "analysis": look, "epochs": 1}
        for balancer in ("equal", "pcgrad", "graddrop")
    }
    cases["micro-batches"] = {"analysis": look, "epochs": 1, "accumulate": 2}
    together(2, cases)
    assert "pairs/affinity" in fitted(analysis=look, epochs=1)["tensors"]


def test_reports_and_predictions_are_equal_bit_for_bit():
    def made():
        one = trainer()
        one.batch_size = 4
        report, predicted = one.evaluate(DATA), one.predict(X)
        return dict(report), {task: torch.from_numpy(each) for task, each in predicted.items()}

    report, predicted = made()
    for found, others in in_processes(2, made):
        assert str(found) == str(report)  # NaN is not equal to itself
        assert all(torch.equal(others[task], each) for task, each in predicted.items())


def test_processes_stop_after_the_same_step_whichever_is_asked():
    class Stops(Observer):
        everywhere = True

        def on_begin(self, trainer):
            trainer.stop_requested = trainer.processes.rank == 1

    def stopped():
        saved = []
        made = trainer(observers=[Stops()], on_checkpoint=saved.append)
        with pytest.raises(Interrupted):
            made.fit(DATA, epochs=3)
        return made.step, saved

    assert in_processes(2, stopped) == [(1, ["last"]), (1, [])]


def test_records_are_of_the_first_process():
    def records():
        found = []
        trainer(on_record=found.append).fit(DATA, VALID, epochs=2)
        return len(found)

    assert in_processes(2, records) == [4, 0]


def refused(make):
    def message():
        with pytest.raises(InputError) as found:
            make()
        return str(found.value)

    (one, *others) = in_processes(2, message)
    assert all(other[:14] == one[:14] for other in others)
    return one


def test_other_models_on_each_process_are_refused():
    def made():
        made = trainer()
        with torch.no_grad():
            next(made.model.parameters()).add_(torch.distributed.get_rank())
        made.fit(DATA, epochs=1)

    assert "have different models (model/sharing.stages.0.0.0.weight)" in refused(made)


def test_other_batches_on_each_process_are_refused_unless_their_place_is_named():
    def batch(rank, **more):
        rows = slice(0, 10) if rank == 0 else slice(10, 23)
        targets = {task: target[rows] for task, target in DATA[1].items()}
        return {"inputs": X[rows], "targets": targets, **more}

    def divided():
        trainer().train_step(batch(torch.distributed.get_rank()))

    def placed():
        rank = torch.distributed.get_rank()
        made = trainer(accumulate=2)
        made.train_step(batch(rank, share=(0, 10, 23) if rank == 0 else (10, 23, 23)))
        return made.model.state_dict()

    assert "given different batches" in refused(divided)
    whole = trainer(accumulate=2)
    whole.train_step({"inputs": X, "targets": DATA[1]})
    for name, value in in_processes(2, placed)[1].items():
        assert_close(value, whole.model.state_dict()[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("share", [(0, 10), (5, 4, 23), (0, 9, 23), [0, 10, 23]])
def test_a_wrong_share_is_refused(share):
    targets = {task: target[:10] for task, target in DATA[1].items()}
    with pytest.raises(InputError, match=r"expected \(first, end, rows of all processes\)"):
        Batch.of({"inputs": X[:10], "targets": targets, "share": share})


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return ROWS

    def __getitem__(self, row):
        return {"inputs": X[row].float(), "targets": {t: each[row] for t, each in DATA[1].items()}}


def test_loaders_give_every_process_the_same_batches():
    def shuffled():
        torch.manual_seed(5 + (torch.distributed.is_initialized() and torch.distributed.get_rank()))
        made = trainer()
        made.model.float()
        made.fit(DataLoader(Rows(), batch_size=7, shuffle=True), epochs=2)
        return made.model.state_dict()

    def divided():
        sampler = DistributedSampler(Rows())
        trainer().fit(DataLoader(Rows(), batch_size=7, sampler=sampler), epochs=1)

    one = shuffled()
    for name, value in in_processes(2, shuffled)[1].items():
        assert_close(value, one[name], rtol=1e-4, atol=1e-5)
    assert "found a DistributedSampler" in refused(divided)


class Noise(nn.Module):
    """Draws for columns, in an order of its own."""

    def forward(self, x):
        return x + torch.rand(x.shape[1] + 2, dtype=x.dtype)[: x.shape[1]]


NOT_DIVIDED = {
    "BatchNorm": (lambda: nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6)), "statistics"),
    "LSTM of 2 layers": (
        lambda: nn.Sequential(nn.Linear(5, 6), nn.LSTM(6, 6, 2, dropout=0.1)),
        "draws its dropout inside",
    ),
    r"of the shape \(8,\)": (lambda: nn.Sequential(nn.Linear(5, 6), Noise()), "by row"),
}


@pytest.mark.parametrize(
    ("balancer", "reason"),
    [
        ({"type": "graddrop", "at": "representation"}, "GradDrop needs the columns of all rows"),
        ({"type": "mgda", "gramian": "layers"}, "MGDA reads products of the rows of one process"),
    ],
)
def test_passes_that_processes_cannot_join_are_refused_before_training(balancer, reason):
    assert reason in refused(lambda: Trainer(MultiTaskModel(network(), tasks()), balancer))


@pytest.mark.parametrize("name", NOT_DIVIDED)
def test_what_processes_would_not_compute_as_one_does_is_refused(name):
    make, reason = NOT_DIVIDED[name]

    def made():
        model = MultiTaskModel(make(), tasks(), width=6).double()
        Trainer(model, batch_size=10).fit(DATA, epochs=1)

    assert reason in refused(made)
