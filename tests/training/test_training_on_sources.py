"""Training on several sources: a step balances the losses of a batch of each."""

import math
from copy import deepcopy

import pytest
import torch
from quick_cases import others_slow
from torch import nn

import motet
from motet.data import Sources
from motet.encoders.base import Encoder
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.tasks import Auxiliary, Classification, Regression
from motet.training import Interrupted

RNG = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, generator=RNG)


ORDERS = normal(11, 4), {"kind": torch.arange(11) % 3, "spend": normal(11)}
VISITS = (
    normal(26, 4),
    {"stay": torch.where(torch.arange(26) % 4 == 0, torch.nan, normal(26))},
)
BOTH = {"orders": ORDERS, "visits": VISITS}


def tasks():
    return [Classification("kind", classes=3), Regression("spend"), Regression("stay")]


def plain():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh())


def made(own=None, encoder=plain):
    torch.manual_seed(1)
    return motet.MultiTaskModel(encoder(), own or tasks())


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def wide(data):
    inputs, targets = data
    return inputs.double(), {t: v if t == "kind" else v.double() for t, v in targets.items()}


class Apart(Encoder):
    """Reads its rows from a mapping, so that sources with other names are not joined."""

    def __init__(self):
        super().__init__()
        self.layers, self.width = nn.Sequential(nn.Linear(4, 5), nn.Tanh()), 5

    def forward(self, inputs):
        return self.layers(next(each for each in inputs.values() if each is not None))


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "dwa", "pcgrad", "cagrad", "mgda"])
@pytest.mark.parametrize("apart", [False, True], ids=["joined", "apart"])
def test_a_step_is_that_of_losses_computed_source_by_source(balancer, apart):
    encoder = Apart if apart else plain
    model, by_hand = made(encoder=encoder).double(), made(encoder=encoder).double()
    orders, visits = wide(ORDERS), wide(VISITS)
    if apart:
        orders, visits = ({"o": orders[0]}, orders[1]), ({"v": visits[0]}, visits[1])
    trainer = motet.Trainer(model, balancer, optimizer="sgd", learning_rate=1e-30, seed=0)
    own = deepcopy(trainer.balancer)
    result = trainer.train_step(Sources({"orders": orders, "visits": visits}))
    first = by_hand.losses(by_hand(orders[0], ["kind", "spend"]), orders[1])
    second = by_hand.losses(by_hand(visits[0], ["stay"]), visits[1])
    losses = {**first, **second}
    motet.backward(losses, own, shared=by_hand.sharing)
    for name, loss in result.losses.items():
        torch.testing.assert_close(loss.detach(), losses[name].detach(), rtol=1e-12, atol=0)
    found, expected = gradients(model), gradients(by_hand)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad"])
@pytest.mark.parametrize("apart", [False, True], ids=["joined", "apart"])
def test_micro_batches_make_the_same_step(balancer, apart):
    found = []
    for accumulate in (1, 3):
        model = made(encoder=Apart if apart else plain).double()
        trainer = motet.Trainer(
            model, balancer, accumulate=accumulate, optimizer="sgd", learning_rate=0.1
        )
        orders, visits = wide(ORDERS), wide(VISITS)
        if apart:
            orders, visits = ({"o": orders[0]}, orders[1]), ({"v": visits[0]}, visits[1])
        trainer.train_step(Sources({"orders": orders, "visits": visits}))
        found.append(dict(model.named_parameters()))
    for name, parameter in found[0].items():
        torch.testing.assert_close(parameter, found[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("apart", [False, True], ids=["joined", "apart"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_task_with_labels_in_two_sources_is_one_loss_over_both(apart, accumulate):
    def own():
        return [Regression("stay")]

    first, second = wide(VISITS), (normal(5, 4).double(), {"stay": normal(5).double()})
    together = made(own(), Apart if apart else plain).double()
    joined = torch.cat([first[0], second[0]])
    inputs = {"o": joined} if apart else joined
    target = torch.cat([first[1]["stay"], second[1]["stay"]])
    loss = together.losses(together(inputs), {"stay": target})["stay"]
    loss.backward()
    model = made(own(), Apart if apart else plain).double()
    if apart:
        first, second = ({"o": first[0]}, first[1]), ({"v": second[0]}, second[1])
    trainer = motet.Trainer(
        model, optimizer="sgd", learning_rate=1e-30, accumulate=accumulate, seed=0
    )
    result = trainer.train_step(Sources({"a": first, "b": second}))
    torch.testing.assert_close(result.losses["stay"].detach(), loss.detach())
    expected = gradients(together)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name])
    report = trainer.evaluate(Sources({"a": first, "b": second}))
    assert report["stay"]["count"] == int((~target.isnan()).sum())
    assert report["stay"]["loss"] == pytest.approx(loss.item())


class Alternating(Scheduler):
    """Trains two tasks of two sources in turn, and sometimes all."""

    def tasks_for(self, step, tasks):
        return [["kind"], ["stay"], ["stay"], list(tasks)][step % 4]


@pytest.mark.filterwarnings("ignore:.*nothing to balance")
@pytest.mark.parametrize("scheduling", ["all", Alternating(["kind", "spend", "stay"])])
@pytest.mark.parametrize("stop_at", others_slow([5], [2, 5, 8]))
def test_a_run_stopped_inside_an_epoch_goes_on_bit_for_bit(scheduling, stop_at):
    def trainer(**options):
        def dropping():
            return nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.3), nn.Linear(6, 5))

        return motet.Trainer(
            made(encoder=dropping), "pcgrad", batch_size=4, scheduling=scheduling, **options
        )

    whole = trainer()
    whole.fit(Sources(BOTH), epochs=2)
    first = trainer(checkpoint_every=1)
    saved = []

    def stop(kind):
        saved[:] = [first.state()]
        first.stop_requested = first.step == stop_at

    first.on_checkpoint = stop
    with pytest.raises(Interrupted):
        first.fit(Sources(BOTH), epochs=2)
    second = trainer()
    second.load_state(*saved)
    second.fit(Sources(BOTH), epochs=2)
    assert second.progress == whole.progress
    for name, parameter in whole.model.named_parameters():
        assert parameter.equal(second.model.get_parameter(name)), name
    assert second.history.records[-1]["rows"] == whole.history.records[-1]["rows"]


def test_a_step_draws_only_from_sources_whose_tasks_are_scheduled():
    trainer = motet.Trainer(made(), batch_size=4, scheduling=Alternating(["kind", "spend", "stay"]))
    trainer.fit(Sources(BOTH), epochs=1)
    assert trainer.step == 7
    assert trainer.progress.drawn == {"orders": 3, "visits": 5}
    assert trainer.history.records[-1]["rows"] == {"orders": 11, "visits": 20}


def test_an_epoch_records_the_rows_of_each_source():
    trainer = motet.Trainer(made(), batch_size=8)
    trainer.fit(Sources(BOTH), epochs=2)
    epochs = [record["rows"] for record in trainer.history.records]
    assert epochs == [{"orders": 8 + 3 + 8 + 3, "visits": 26}] * 2


def test_evaluation_of_sources_is_that_of_each_alone():
    trainer = motet.Trainer(made(), batch_size=8)
    trainer.fit(Sources(BOTH), Sources(BOTH), epochs=1)
    whole = trainer.evaluate(Sources(BOTH))
    for data in BOTH.values():
        alone = trainer.evaluate(data)
        for task in data[1]:
            assert whole[task] == alone[task]
    assert math.isfinite(whole["score"])


def test_tasks_choose_the_batch_size_of_their_source():
    own = tasks()
    own[0] = Classification("kind", classes=3, source="orders", batch_size=2)
    trainer = motet.Trainer(made(own), batch_size=13)
    trainer.fit(Sources(BOTH), epochs=1)
    assert trainer.step == 6
    assert trainer.history.records[-1]["rows"]["orders"] == 11


class Echo(Auxiliary):
    """Predicts the first number of a row."""

    seen = ()

    def view(self, inputs, generator):
        Echo.seen = (*Echo.seen, len(inputs))
        return inputs, inputs[:, 0]

    def loss(self, raw, target):
        return self.add_up(nn.functional.mse_loss, raw, target)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_auxiliary_tasks_read_the_rows_of_all_sources_or_of_those_they_name(balanced, accumulate):
    inputs = torch.cat([ORDERS[0], VISITS[0]])
    for source, expected in ((None, inputs), ("visits", VISITS[0])):
        model = made([*tasks(), Echo("echo", source=source, balanced=balanced)])
        loss = model.losses(model(expected, ["echo"]), {"echo": expected[:, 0]})["echo"]
        Echo.seen = ()
        trainer = motet.Trainer(model, accumulate=accumulate)
        result = trainer.train_step(Sources(BOTH))
        assert sum(Echo.seen) == len(expected)
        torch.testing.assert_close(result.losses["echo"], loss)


def test_rows_without_labels_serve_auxiliary_tasks():
    unlabelled = normal(40, 4), {}
    own = [Regression("spend"), Echo("echo", source="more")]
    orders = ORDERS[0], {"spend": ORDERS[1]["spend"]}
    trainer = motet.Trainer(made(own), batch_size=10)
    trainer.fit(Sources({"orders": orders, "more": unlabelled}), epochs=1)
    assert trainer.history.records[-1]["rows"] == {"orders": 11 + 11, "more": 40}
    with pytest.raises(InputError, match="source 'more': found targets of no task"):
        motet.Trainer(made([Regression("spend")])).fit(
            Sources({"orders": orders, "more": unlabelled})
        )


def test_a_source_without_an_input_has_zeros_for_its_features():
    class Half(nn.Module):
        width = 3

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, rows):
            return self.layer(rows)

    torch.manual_seed(0)
    model = motet.MultiTaskModel(encoders={"x": Half(), "y": Half()}, tasks=tasks())
    orders, visits = ({"x": ORDERS[0]}, ORDERS[1]), ({"y": VISITS[0]}, VISITS[1])
    data = Sources({"orders": orders, "visits": visits})
    trainer = motet.Trainer(model, "pcgrad", batch_size=8)
    trainer.fit(data, data, epochs=1)
    features = model.represent({"x": ORDERS[0], "y": None})
    assert not features[:, 3:].any()
    assert features[:, :3].equal(model.represent({"x": ORDERS[0], "y": VISITS[0][:11]})[:, :3])
    with pytest.raises(InputError, match="lack every input"):
        model({"x": None, "y": None})


def test_loaders_are_sources():
    def batches(data, size):
        inputs, targets = data
        return [
            {
                "inputs": inputs[start : start + size],
                "targets": {task: each[start : start + size] for task, each in targets.items()},
            }
            for start in range(0, len(inputs), size)
        ]

    data = Sources({"orders": batches(ORDERS, 5), "visits": VISITS})
    trainer = motet.Trainer(made(), "pcgrad", batch_size=4)
    trainer.fit(data, data, epochs=2)
    assert trainer.history.records[0]["rows"] == {"orders": 11 + 11 + 5, "visits": 26}
    with pytest.raises(InputError, match="source 'orders': found a DataLoader"):
        trainer.train_step(data)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"source": "order"}, "task 'spend': source: no source is named 'order'; did you mean"),
        ({"source": "visits"}, "task 'spend': source: found visits, but orders has targets of it"),
    ],
)
def test_a_task_with_labels_elsewhere_than_in_its_source_is_an_error(own, message):
    with pytest.raises(InputError, match=message):
        motet.Trainer(made([tasks()[0], Regression("spend", **own), tasks()[2]])).fit(
            Sources(BOTH), epochs=1
        )


def test_batch_sizes_of_one_source_agree():
    own = [
        Classification("kind", classes=3, batch_size=4),
        Regression("spend", batch_size=8),
        Regression("stay"),
    ]
    with pytest.raises(InputError, match="batch_size: found 8, but 4 for 'kind'"):
        motet.Trainer(made(own)).fit(Sources(BOTH), epochs=1)


@pytest.mark.parametrize("own", [{"source": "orders"}, {"batch_size": 4}])
def test_one_table_has_neither_sources_nor_batch_sizes_of_tasks(own):
    with pytest.raises(InputError, match="and one table, whose rows are those of all tasks"):
        motet.Trainer(made([Regression("spend", **own)])).fit(
            (ORDERS[0], {"spend": ORDERS[1]["spend"]}), epochs=1
        )


@pytest.mark.parametrize("field", ["weights", "soft"])
def test_weights_and_soft_targets_of_a_source_are_checked_in_a_step_too(field):
    step = {"inputs": VISITS[0], "targets": VISITS[1], field: {"stays": torch.ones(26)}}
    with pytest.raises(InputError, match=f"source 'visits': .* have {field} for 'stays'"):
        motet.Trainer(made()).train_step(Sources({"orders": ORDERS, "visits": step}))


def test_batch_norm_is_refused_unless_it_is_frozen_with_its_averages():
    def encoder():
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5))

    for train in (
        lambda trainer: trainer.fit(Sources(BOTH), epochs=1),
        lambda trainer: trainer.train_step(Sources(BOTH)),
    ):
        with pytest.raises(InputError, match=r"found BatchNorm .* and several sources"):
            train(motet.Trainer(made(encoder=encoder)))
    model = made(encoder=encoder)
    name = next(n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm1d))
    model.freeze(name, evaluation=True)
    motet.Trainer(model).fit(Sources(BOTH), epochs=1)


def test_sources_are_not_predicted_at_once():
    with pytest.raises(InputError, match="predict the rows of each alone"):
        motet.Trainer(made()).predict(Sources(BOTH))


def test_a_balancer_that_looks_ahead_draws_from_the_sources():
    trainer = motet.Trainer(made(), "meta", batch_size=8)
    trainer.fit(Sources(BOTH), Sources(BOTH), epochs=1)
    assert trainer.step == 4


def test_labels_of_other_sources_are_missing_where_minus_100_is_a_number():
    whole = ORDERS[0], {"spend": torch.arange(11) - 100}
    other = VISITS[0], {"kind": torch.arange(26) % 3}
    trainer = motet.Trainer(made(tasks()[:2]), optimizer="sgd", learning_rate=1e-30)
    result = trainer.train_step(Sources({"a": whole, "b": other}))
    expected = trainer.model.losses(trainer.model(whole[0], ["spend"]), whole[1])
    torch.testing.assert_close(result.losses["spend"], expected["spend"])


class OnlyVisits(Echo):
    """Reads an input that only one source has."""

    def applies(self, inputs):
        return inputs.get("v", "unknown") is not None

    def view(self, inputs, generator):
        Echo.seen = (*Echo.seen, len(inputs["v"]))
        return inputs, inputs["v"][:, 0]


APART = {"orders": ({"o": ORDERS[0]}, ORDERS[1]), "visits": ({"v": VISITS[0]}, VISITS[1])}


def test_auxiliary_tasks_draw_from_sources_that_have_what_they_read():
    data = Sources(APART)
    for source in (None, "visits"):
        Echo.seen = ()
        own = [*tasks(), OnlyVisits("echo", source=source)]
        motet.Trainer(made(own, Apart), batch_size=13).fit(data, data, epochs=1)
        assert set(Echo.seen) == {13}
    own = [*tasks(), OnlyVisits("echo", source="orders")]
    with pytest.raises(InputError, match="task 'echo': source: found orders, without the input"):
        motet.Trainer(made(own, Apart)).fit(data)


def test_gradients_at_the_representation_need_one_forward_pass():
    options = {"type": "pcgrad", "at": "representation"}
    motet.Trainer(made(), options).fit(Sources(BOTH), epochs=1)
    with pytest.raises(InputError, match="at: found representation, which is of one forward pass"):
        motet.Trainer(made(encoder=Apart), options).fit(Sources(APART), epochs=1)


@pytest.mark.parametrize("count", [1, 2])
def test_tasks_of_sources_of_the_same_shape_share_backward_passes(count):
    names = {source: [f"{source}{n}" for n in range(count)] for source in "wxyz"}
    own = [Regression(name) for each in names.values() for name in each]
    data = {s: (normal(9, 4), {name: normal(9) for name in each}) for s, each in names.items()}
    result = motet.Trainer(made(own), "upgrad").train_step(Sources(data))
    assert result.balanced.path == "blocks"


class Mirrored(Auxiliary):
    """Recognise mirrored rows."""

    def view(self, inputs, generator):
        turned = torch.rand(len(inputs), generator=generator) < 0.5
        return torch.where(turned[:, None], inputs.flip(1), inputs), turned.float()

    def loss(self, raw, target, weights=None):
        entropy = nn.functional.binary_cross_entropy_with_logits
        return self.add_up(entropy, raw, target, weights)


@pytest.mark.parametrize("scheduling", ["all", {"type": "round_robin", "combine": "cycle"}])
@pytest.mark.parametrize("balancer", ["equal", "pcgrad", "famo"])
@pytest.mark.parametrize("balanced", others_slow([True], [False, True]))
def test_micro_batches_of_sources_with_weights_products_and_views_are_the_whole_step(
    scheduling, balancer, balanced
):
    draw = torch.Generator().manual_seed(0)
    one, two = torch.randn(20, 4, generator=draw), torch.randn(12, 4, generator=draw)
    weights = torch.rand(20, generator=draw) * 3
    weights[::6] = 0
    click, buy = (one[:, 0] > 0).long(), ((one[:, 0] > 0) & (one[:, 1] > 0)).long()
    data = Sources(
        {
            "one": (one, {"spend": one[:, 2], "click": click, "both": buy}, {"both": weights}),
            "two": (two, {"click": (two[:, 0] > 0).long()}),
        }
    )

    def trained(accumulate):
        torch.manual_seed(0)
        tasks = [
            Regression("spend"),
            Classification("click", classes=2, class_weights=[1.0, 3.0]),
            Classification("bought", classes=2, latent=True),
            Classification("both", classes=2, product=["click", "bought"]),
            Mirrored("view", balanced=balanced),
        ]
        model = motet.MultiTaskModel(nn.Sequential(nn.Linear(4, 5), nn.Tanh()), tasks, width=5)
        options = {"scheduling": scheduling, "batch_size": 7, "accumulate": accumulate}
        motet.Trainer(model, balancer, learning_rate=0.01, **options).fit(data, epochs=2)
        return model.state_dict().values()

    for whole, cut in zip(trained(1), trained(3), strict=True):
        torch.testing.assert_close(whole, cut)
