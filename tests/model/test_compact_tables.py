"""Sets and hashed categories in a model: balancers read the rows of tables that a batch uses."""

import pyarrow as pa
import pytest
import torch
from torch.testing import assert_close

import motet
from motet import balancing
from motet.data.inputs.category import Category
from motet.data.inputs.set import Set
from motet.encoders import MLP, Ensemble, TabularTransformer
from motet.model import MultiTaskModel
from motet.tasks import Classification, Regression

WHO = pa.table({"who": ["ann", "bob", None, "ann", "eve", "zoe"]})
TAGS = pa.table({"tags": [["a", "b"], ["a"], [], None, ["b", "new"], ["a"]]})
B, ROWS = 6, 20_001
TARGETS = {"a": torch.linspace(-1, 1, B).double(), "b": torch.tensor([0, 2, 1, -100, 1, 0])}


def read(made, rows):
    made.observe(rows)
    made.finish()
    return made.apply(rows)[0]


def batch():
    who = read(Category("who", hash=ROWS - 2, hashes=2), WHO)["categories"]
    return {
        "numbers": torch.linspace(0, 1, B).double()[:, None],
        "categories": torch.from_numpy(who),
        "sets": {"tags": read(Set("tags", min_count=1, size=ROWS - 3), TAGS)[0:B]},
    }


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (MLP, {"hidden": [5], "dropout": 0.0}),
        (Ensemble, {"hidden": [5], "dropout": 0.0, "members": 3}),
        (
            TabularTransformer,
            {"width": 8, "heads": 2, "layers": 1, "dropout": 0.0, "attention_dropout": 0.0},
        ),
    ],
)
def test_rows_of_a_batch_alone_give_the_gramian_and_update_of_whole_tables(kind, options, pool):
    torch.manual_seed(0)
    encoder = kind(1, [ROWS, ROWS], sets={"tags": (ROWS, pool)}, **options)
    model = MultiTaskModel(encoder, [Regression("a"), Classification("b", classes=3)]).double()
    shared, inputs = model.shared_parameters(), batch()
    losses = model.losses(model(inputs), TARGETS)
    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses.values()]
    jacobian = torch.stack([torch.cat([each.flatten() for each in row]) for row in rows])
    result = motet.backward(losses, balancing.create("upgrad", list(TARGETS)))
    assert result.path == "tables"
    assert_close(result.gramian.double(), jacobian @ jacobian.T, rtol=1e-6, atol=1e-10)
    weights = torch.tensor([result.weights[task] for task in TARGETS], dtype=torch.float64)
    found = torch.cat([parameter.grad.flatten() for parameter in shared])
    assert_close(found, weights @ jacobian, rtol=1e-6, atol=1e-10)
