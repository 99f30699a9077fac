"""A module that was made for one task becomes a model of several, bit for bit the same."""

import copy

import pytest
import torch
from torch import nn

import motet
from motet.problems import InputError
from motet.tasks import Classification, Regression

ROWS = torch.randn(6, 4)


def classifier():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 10))


class Old(nn.Module):
    """Several arguments, a mapping as output, statistics, and a head inside."""

    def __init__(self):
        super().__init__()
        self.body = nn.ModuleDict({"layer": nn.Linear(4, 8), "norm": nn.BatchNorm1d(8)})
        self.head = nn.ModuleList([nn.Linear(8, 1)])

    def forward(self, rows, scale=1.0, mask=None):
        hidden = self.body["norm"](self.body["layer"](rows) * scale)
        return {"logits": self.head[0](hidden if mask is None else hidden * mask), "scale": scale}


def digits(module, **options):
    return motet.migrate(module, Classification("digit", classes=10), ROWS, **options)


def test_the_facade_answers_as_the_module_did():
    net = classifier()
    model = digits(net)
    single = model.facade()
    for mode in (True, False):
        net.train(mode)
        single.train(mode)
        outputs = []
        for each in (net, single):
            torch.manual_seed(0)
            outputs.append(each(ROWS))
        assert torch.equal(*outputs)
    assert sorted(model(ROWS)) == ["digit"]


def test_arguments_and_form_of_the_output_stay():
    old = Old().eval()
    single = motet.migrate(old, Regression("y"), {"rows": ROWS}).facade()
    for given, named in (((ROWS,), {}), ((ROWS, 2.0), {}), ((ROWS,), {"mask": torch.ones(8) / 3})):
        found = single(*given, **named)
        assert found.keys() == {"logits"}
        assert torch.equal(found["logits"], old(*given, **named)["logits"])
    with pytest.raises(TypeError):
        single(ROWS, color="red")


def test_the_module_stays_as_it_is_and_shares_its_parameters():
    net = classifier()
    before, names = net(ROWS).shape, [name for name, _ in net.named_parameters()]
    model = digits(net)
    assert [name for name, _ in net.named_parameters()] == names
    assert net(ROWS).shape == before
    assert {id(p) for p in net.parameters()} == {id(p) for p in model.parameters()}


def test_other_tasks_share_all_but_the_head_and_leave_the_old_one_alone():
    net = classifier().eval()
    model = digits(net)
    model.add_task(Regression("area"))
    assert set(model.task_parameters("digit")) == set(net[3].parameters())
    assert torch.equal(model.eval()(ROWS)["digit"], net(ROWS))


def test_old_checkpoints_are_loaded_and_written():
    old = Old()
    saved = copy.deepcopy(old.state_dict())
    model = motet.migrate(old, Regression("y"), ROWS)
    model.add_task(Classification("c", classes=3))
    single, heads = model.facade(), copy.deepcopy(model.heads["c"].state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    single.load_state_dict(saved)
    for name, tensor in old.state_dict().items():
        assert torch.equal(tensor, saved[name])
        assert torch.equal(single.old_state_dict()[name], saved[name])
    changed = model.heads["c"].state_dict()
    assert all(torch.equal(changed[name], heads[name] + 1) for name in heads)
    again = motet.migrate(Old(), Regression("y"), ROWS)
    again.add_task(Classification("c", classes=3))
    again.facade().load_state_dict(single.state_dict())
    assert torch.equal(again.eval()(ROWS)["c"], model.eval()(ROWS)["c"])


def test_copies_of_a_model_are_models_of_their_own():
    model = copy.deepcopy(digits(classifier()))
    single = model.facade().eval()
    assert torch.equal(single(ROWS), model.eval()(ROWS)["digit"])
    assert single.old_state_dict().keys() == classifier().state_dict().keys()


def test_a_part_is_named_where_the_output_has_none():
    net = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 10), nn.Softmax(-1)))
    with pytest.raises(InputError, match=r"returned by 2 \(Softmax\), which has no parameters"):
        digits(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 10), nn.Softmax(-1)), head=None)
    assert torch.equal(digits(net, head="1").facade()(ROWS), net(ROWS))


class Scaled(nn.Module):
    """Computes after its last part, or calls it twice, or returns a tuple."""

    def __init__(self, form):
        super().__init__()
        self.body, self.head, self.form = nn.Linear(4, 8), nn.Linear(8, 10), form

    def forward(self, rows):
        features = self.body(rows)
        if self.form == "after":
            return 2 * self.head(features)
        if self.form == "twice":
            return self.head(self.head(features)[:, :8])
        if self.form == "reads":
            return self.head(features + self.head.bias[:8])
        if self.form == "other":
            return {"a": self.head(features), "b": features}
        return self.head(features), features


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("after", {}, "computed after the last of them"),
        ("after", {"head": "head"}, "head does not return the module's output"),
        ("twice", {}, "head is called 2 times"),
        ("reads", {}, "the module reads its head"),
        ("other", {}, "returns a, b; name the one"),
        ("other", {"output": "c"}, "no tensor 'c'; known: a, b"),
        ("tuple", {}, "returns tuple, expected a tensor"),
        ("other", {"output": "a", "head": "heads"}, "named 'heads'; did you mean 'head'"),
        ("other", {"output": "a", "head": "body"}, "body does not return"),
    ],
)
def test_what_cannot_be_split_is_refused(form, options, message):
    module = Scaled(form)
    with pytest.raises(InputError, match=message):
        digits(module, **options)
    assert module.training


def test_rows_that_do_not_fit_the_module_are_described():
    with pytest.raises(InputError, match=r"the module failed on a tensor \(6, 3\) .* takes 4 feat"):
        motet.migrate(classifier(), Classification("digit", classes=10), ROWS[:, :3])


def test_a_task_of_another_size_is_refused():
    with pytest.raises(InputError, match="expected 3 outputs per row"):
        motet.migrate(classifier(), Classification("digit", classes=3), ROWS)
    with pytest.raises(InputError, match="the module returns one tensor, without a key"):
        digits(classifier(), output="logits")
    by_place = nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Linear(1, 8), nn.Linear(8, 10))
    with pytest.raises(InputError, match=r"gets \(6, 4, 8\), expected features"):
        digits(by_place)


class Named(nn.Module):
    """Takes keywords alone, and returns a mapping of its own type, as `transformers` does."""

    class Output(dict):
        @property
        def logits(self):
            return self["logits"]

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 10)

    def forward(self, **named):
        return self.Output(logits=self.head(input=self.body(named["rows"])))


def test_calls_by_keyword_and_attributes_of_an_output_work_as_before():
    net = classifier()
    assert torch.equal(digits(net.eval()).facade()(input=ROWS), net(input=ROWS))
    named = Named().eval()
    single = motet.migrate(named, Classification("digit", classes=10), {"rows": ROWS}).facade()
    assert torch.equal(single(rows=ROWS).logits, named(rows=ROWS).logits)


def test_a_single_layer_has_nothing_to_share():
    with pytest.raises(InputError, match="the module is one layer, Linear, without parts that"):
        motet.migrate(nn.Linear(4, 10), Classification("digit", classes=10), ROWS)
