"""Every scheme shares an ensemble: each member goes through it by itself."""

from functools import partial

import pytest
import torch
from schemes import FORMS, TASKS, X, scheme
from torch.testing import assert_close

from motet.encoders import MLP, Ensemble
from motet.model import MultiTaskModel
from motet.registry import SHARING
from motet.tasks import Classification, Regression

K = 3
SCHEMES = [*SHARING, *FORMS]


def made(kind, sharing, **options):
    torch.manual_seed(0)
    options |= {"hidden": [6, 5, 5, 3], "activation": "tanh", "dropout": 0.0}
    tasks = [Regression("a"), Classification("b", classes=3), Regression("c")]
    return MultiTaskModel(partial(kind, 4, **options), tasks, sharing=sharing).double().eval()


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_computes_each_member_by_itself(name):
    model = made(Ensemble, scheme(name), members=K)
    before = model.states(X)
    assert all(state.shape[:2] == (len(X), K) for state in before.values())
    scalings = [p for n, p in model.named_parameters() if n.endswith("scaling")]
    assert scalings
    with torch.no_grad():
        for parameter in scalings:
            parameter[1] *= 1.5
    after = model.states(X)
    for task in TASKS:
        others = [0, 2]
        assert_close(after[task][:, others], before[task][:, others], rtol=0, atol=1e-12)
        assert not torch.allclose(after[task][:, 1], before[task][:, 1])


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_gives_members_that_are_alike_what_it_gives_an_mlp(name):
    one = made(MLP, scheme(name))
    several = made(Ensemble, scheme(name), members=K, scalings="first")
    known = one.sharing.state_dict()
    for key, tensor in several.sharing.state_dict().items():
        if key.endswith("scaling"):
            tensor.fill_(1)
        else:
            tensor.copy_(known[key])
    expected, states = one.states(X), several.states(X)
    for task in TASKS:
        for member in range(K):
            assert_close(states[task][:, member], expected[task])
