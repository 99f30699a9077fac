"""Several processes train the model that one would: same weights, records and reports."""

import pytest
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
from motet.tasks import Classification, Custom, Denoising, Ranking, Regression, SequenceLabelling
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


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("names", [NAMES[::3], NAMES[1::3], NAMES[2::3]], ids=["0", "1", "2"])
def test_every_balancer_makes_the_steps_of_one_process(names, count):
    together(count, {name: BY_BALANCER[name] for name in names})


BY_SCHEDULER = {
    f"{name} {combine}": {
        "balancer": balancer,
        "scheduling": {"type": name, **({"combine": combine} if combine else {})},
    }
    for name in SCHEDULERS
    for combine, balancer in ((None, "pcgrad"), ("cycle", "uncertainty"))
    if not (combine and name in ("all", "task_balanced"))
}
BY_SCHEME = {
    f"{name} {balancer}": {**BY_BALANCER[balancer], "sharing": name, "epochs": 3}
    for place, name in enumerate(SHARING)
    for balancer in (NAMES[(7 * place + 4) % len(NAMES)], "upgrad")
}


@pytest.mark.parametrize("cases", [BY_SCHEDULER, BY_SCHEME], ids=["schedulers", "schemes"])
@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_every_scheduler_and_scheme_makes_the_steps_of_one_process(cases, count):
    together(count, cases)
