"""Segmentation and pixel regression against naive sums over pixels in float64."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate
from torch.testing import assert_close

from motet.encoders import CNN
from motet.encoders.joined import Joined
from motet.model import MultiTaskModel
from motet.problems import InputError, RowError
from motet.sharing import create as create_sharing
from motet.tasks import (
    Classification,
    PixelRegression,
    Segmentation,
    TaskMetrics,
    fit_trivial,
    trivial_metrics,
)
from motet.tasks.map_heads import resized
from motet.training import Trainer

DRAW = torch.Generator().manual_seed(0)
RAW = torch.randn(3, 4, 5, 6, generator=DRAW)
CLASSES = torch.randint(0, 4, (3, 5, 6), generator=DRAW)
CLASSES[0, 0], CLASSES[1] = 255, -100
NUMBERS = 2 + torch.rand(3, 5, 6, generator=DRAW)
NUMBERS[0, 1], NUMBERS[2] = torch.nan, torch.nan


@pytest.mark.parametrize("size", [(10, 12), (9, 20), (5, 6), (3, 2), (1, 1), (40, 7)])
def test_maps_are_interpolated_as_torch_does(size):
    expected = interpolate(RAW.double(), size=size, mode="bilinear", align_corners=False)
    assert_close(resized(RAW.double(), size), expected)


def naive_losses(raw, weights=None, smoothing=0.0, gamma=None):
    """One loss per labelled pixel, by loops."""
    weights = torch.ones(4).double() if weights is None else torch.tensor(weights).double()
    for row, line, column in np.ndindex(*CLASSES.shape):
        label = int(CLASSES[row, line, column])
        if label in (255, -100):
            continue
        logs = raw[row, :, line, column].double().log_softmax(0)
        if gamma is not None:
            p = logs[label].exp()
            yield -weights[label] * (1 - p) ** gamma * logs[label], weights[label]
            continue
        spread = -(weights * logs).sum() * smoothing / 4
        yield (1 - smoothing) * -weights[label] * logs[label] + spread, weights[label]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.2},
        {"class_weights": [1.0, 2.0, 0.5, 3.0]},
        {"loss": "focal", "gamma": 1.5},
        {"loss": "focal", "class_weights": [1.0, 2.0, 0.5, 3.0]},
        {"loss": nn.CrossEntropyLoss()},
        {"loss": nn.CrossEntropyLoss(reduction="none")},
    ],
)
def test_the_loss_is_a_sum_over_labelled_pixels(options):
    task = Segmentation("a", classes=4, ignore_index=255, **options)
    raw = RAW.clone().requires_grad_()
    total, count = task.loss(raw, CLASSES)
    focal = options.get("loss") == "focal"
    gamma = options.get("gamma", 2.0) if focal else None
    smoothing = options.get("label_smoothing", 0.0)
    found = list(naive_losses(RAW, options.get("class_weights"), smoothing, gamma))
    losses, weights = (torch.stack(each) for each in zip(*found, strict=True))
    assert_close(total.double(), losses.sum(), rtol=1e-5, atol=1e-5)
    weighs = "class_weights" in options and not focal
    assert_close(
        count.double(), weights.sum() if weighs else torch.tensor(float(len(weights))).double()
    )
    assert_close(task.count(CLASSES), count)
    total.backward()
    labelled = (CLASSES != 255) & (CLASSES >= 0)
    assert (raw.grad.abs().sum(1) > 0)[labelled].all()
    assert (raw.grad.movedim(1, -1)[~labelled] == 0).all()


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_cosh"])
def test_the_loss_of_numbers_is_a_sum_over_labelled_pixels(loss):
    task = PixelRegression("a", loss=loss)
    formulas = {
        "mse": lambda r: r * r,
        "mae": abs,
        "huber": lambda r: r * r / 2 if abs(r) <= 1 else abs(r) - 0.5,
        "log_cosh": lambda r: np.log(np.cosh(r)),
    }
    known = ~NUMBERS.isnan()
    apart = (NUMBERS - RAW[:, 0])[known].double().tolist()
    total, count = task.loss(RAW[:, :1], NUMBERS)
    assert total.item() == pytest.approx(sum(map(formulas[loss], apart)), rel=1e-5)
    assert count.item() == len(apart) == int(known.sum())


def test_raw_outputs_of_a_coarser_map_are_interpolated_to_the_labels():
    task = Segmentation("a", classes=4, ignore_index=255)
    coarse = torch.randn(3, 4, 3, 3, generator=DRAW)
    fine = interpolate(coarse, size=(5, 6), mode="bilinear", align_corners=False)
    assert_close(task.loss(coarse, CLASSES), task.loss(fine, CLASSES))
    model = MultiTaskModel(
        CNN(1, 8, 8, widths=(4,), blocks=1, stride=2),
        [Segmentation("a", classes=4, size=(8, 8)), PixelRegression("b", size=(9, 5))],
    )
    found = model(torch.zeros(2, 1, 8, 8))
    assert found["a"].shape == (2, 4, 8, 8)
    assert found["b"].shape == (2, 1, 9, 5)


def scores(task, raw, target, parts=3, trivial=None):
    found = TaskMetrics([task], trivial=trivial)
    for one, other in zip(raw.chunk(parts), target.chunk(parts), strict=True):
        found.update({"a": one}, {"a": other})
    return found.compute("a"), found


def one_hot(classes, count=3):
    return nn.functional.one_hot(classes, count).movedim(-1, 1).float()


def test_the_mean_iou_of_known_masks():
    # class 0: 2 of 4 in the union, class 1: 1 of 3; class 2 neither occurs nor is predicted
    target = torch.tensor([[[0, 0, 0], [1, 1, -100]]])
    predicted = torch.tensor([[[0, 0, 1], [1, 0, 2]]])
    found, _ = scores(Segmentation("a", classes=3), one_hot(predicted), target, parts=1)
    assert found["mean_iou"] == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["count"] == 1
    perfect, _ = scores(Segmentation("a", classes=3), one_hot(target.clamp(min=0)), target, parts=1)
    assert perfect["mean_iou"] == perfect["accuracy"] == 1


def test_metrics_of_batches_are_those_of_all_pixels_at_once():
    task = Segmentation("a", classes=4, ignore_index=255)
    one, _ = scores(task, RAW, CLASSES)
    other, _ = scores(task, RAW, CLASSES, parts=1)
    assert one == pytest.approx(other)
    predicted, known = RAW.argmax(1), (CLASSES >= 0) & (CLASSES < 255)
    ious = []
    for each in range(4):
        true, found = (each == CLASSES) & known, (predicted == each) & known
        ious.append(float((true & found).sum() / (true | found).sum()))
    assert one["mean_iou"] == pytest.approx(np.mean(ious))
    task = PixelRegression("a", scaling=(1.0, 2.0))
    found, _ = scores(task, RAW[:, :1], (NUMBERS - 1) / 2)
    apart = (RAW[:, 0] * 2 + 1 - NUMBERS)[~NUMBERS.isnan()].double()
    true = NUMBERS[~NUMBERS.isnan()].double()
    assert found["mae"] == pytest.approx(float(apart.abs().mean()), rel=1e-5)
    assert found["rmse"] == pytest.approx(float(apart.square().mean().sqrt()), rel=1e-5)
    assert found["depth_error"] == pytest.approx(float((apart.abs() / true).mean()), rel=1e-5)


def test_no_pixel_is_kept_once_it_was_counted(monkeypatch):
    monkeypatch.setattr("motet.tasks.task_metrics._MOST", 10)
    task = Segmentation("a", classes=4, ignore_index=255)
    found = TaskMetrics([task])
    for one, other in zip(RAW.split(1), CLASSES.split(1), strict=True):
        found.update({"a": one}, {"a": other})
        assert not found._pending["a"]
    assert found.compute("a") == scores(task, RAW, CLASSES)[0]


def test_labels_that_are_not_above_0_have_no_relative_error_and_are_counted():
    target = torch.tensor([[[0.0, 2.0], [-1.0, 4.0]]])
    raw = torch.tensor([[[[5.0, 1.0], [5.0, 5.0]]]])
    found, metrics = scores(PixelRegression("a"), raw, target, parts=1)
    assert found["depth_error"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert metrics.notes["a.depth_error"] == "without 2 pixels whose label is not above 0"
    found, metrics = scores(PixelRegression("a"), raw, -target.abs(), parts=1)
    assert np.isnan(found["depth_error"])
    assert metrics.notes["a.depth_error"] == "no label is above 0, so none has a relative error"


@pytest.mark.parametrize("metric", ["mean_iou", "accuracy", "mae", "rmse", "depth_error"])
def test_the_constant_prediction_is_the_best_one(metric):
    if metric in ("mean_iou", "accuracy"):
        task = Segmentation("a", classes=4, ignore_index=255, metrics=[metric])
        target, higher = CLASSES, 1
        others = [torch.full((1, 1, 1), each) for each in range(4)]
    else:
        task, higher = PixelRegression("a", metrics=[metric]), -1
        target = NUMBERS
        others = [torch.full((1, 1, 1), each) for each in NUMBERS[~NUMBERS.isnan()].tolist()[::7]]
    constant = task.trivial(task.statistics(target), metric)
    tally = TaskMetrics([task])._tally("a")

    def score(value):
        from motet.tasks.tally import states

        known = task.labelled(target)
        truth = task.restore(target)[known]
        repeated = task.label_kind.repeated(constant._replace(value=value), truth)
        return higher * states(task, tally.metrics, repeated, truth)[metric].score().value

    assert all(score(constant.value) >= score(each) - 1e-6 for each in others)


def test_the_constant_is_known_where_few_pixels_have_a_label():
    target = torch.full((2, 40, 50), torch.nan)
    target[0, 7, 8], target[1, 9, 1:4] = 3.0, torch.tensor([5.0, 6.0, 7.0])
    task = PixelRegression("a")
    assert task.trivial(task.statistics(target), "mae").value.item() == 5
    assert trivial_metrics([task], {"a": target}, {"a": target})["a"]["mae"] == 5 / 4


def test_rows_without_any_label_count_for_nothing():
    for task, raw, target in (
        (Segmentation("a", classes=4), RAW, torch.full((3, 5, 6), -100)),
        (PixelRegression("a"), RAW[:, :1], torch.full((3, 5, 6), torch.nan)),
    ):
        raw = raw.clone().requires_grad_()
        total, count = task.loss(raw, target)
        total.backward()
        assert (total.item(), count.item()) == (0, 0)
        assert (raw.grad == 0).all()
        found, metrics = scores(task, raw.detach(), target)
        assert found["count"] == 0
        assert all("no row has a label" in note for note in metrics.notes.values())
        assert fit_trivial([task], {"a": target}) == {}


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (torch.zeros(2, 5), r"the labels have the shape \(2, 5\), expected \(B, H, W\)"),
        (torch.zeros(2, 4, 6), "have 4 x 6 pixels, expected 5 x 6, as size says"),
        (torch.full((2, 5, 6), 4), "found the class 4 in row 0 at line 0, column 0.*0 to 3, or -1"),
        (torch.full((2, 5, 6), 0.5), "found the class 0.5 in row 0"),
        (torch.full((2, 5, 6), -1), "found the class -1 in row 0"),
    ],
)
def test_labels_that_do_not_fit_are_refused(target, told):
    with pytest.raises(InputError, match=told):
        Segmentation("a", classes=4, size=(5, 6), ignore_index=255).check(target)


def test_infinite_numbers_are_refused_by_row():
    with pytest.raises(RowError, match="row 1"):
        PixelRegression("a").check(torch.tensor([[[0.0]], [[torch.inf]]]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unit": 0.001}, r"unit: found 0\.001.*multiply the labels by it"),
        ({"missing": 0}, "missing: found 0.*write NaN"),
    ],
)
def test_options_of_tables_are_refused_with_arrays(options, told):
    with pytest.raises(InputError, match=told):
        PixelRegression("a", **options)


SCHEMES = {
    "hard": {},
    "task layers": {"type": "hard", "task_layers": 1},
    "shared width": {"type": "hard", "shared_width": 4},
    **{name: {} for name in ("soft", "cross_stitch", "attention", "progressive", "routing")},
    "learned routing": {"type": "routing", "mode": "learned"},
    **{name: {} for name in ("mmoe", "cgc", "ple", "dselect_k")},
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sharing_schemes_carry_maps_of_the_only_input_stage_by_stage(scheme):
    encoder = Joined(None, {}, branches={"scan": CNN(1, 8, 8, widths=(4, 4), blocks=1, stride=2)})
    tasks = [
        Segmentation("a", classes=3, size=(8, 8)),
        PixelRegression("b", size=(8, 8)),
        Classification("c", classes=2),
    ]
    options = {"type": scheme, **SCHEMES[scheme]}
    sharing = create_sharing(options.pop("type"), **options)
    model = MultiTaskModel(encoder, tasks, sharing=sharing)
    pixels = torch.randn(2, 1, 8, 8, generator=DRAW).requires_grad_()
    raw = model({"scan": {"pixels": pixels, "present": torch.tensor([True, True])}})
    assert {name: tuple(each.shape) for name, each in raw.items()} == {
        "a": (2, 3, 8, 8),
        "b": (2, 1, 8, 8),
        "c": (2, 2),
    }
    for task in "ab":  # what a place predicts depends on where it is
        assert raw[task].flatten(2).std(-1).min() > 1e-4
        (reached,) = torch.autograd.grad(raw[task].square().sum(), pixels, retain_graph=True)
        assert (reached.abs().sum((1, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    "options", [{"type": "mmoe", "expert_width": 4}, {"type": "attention", "form": "tokens"}]
)
def test_schemes_of_rows_alone_refuse_maps(options):
    options = dict(options)
    sharing = create_sharing(options.pop("type"), **options)
    with pytest.raises(InputError, match="reads map, but this sharing scheme carries rows"):
        MultiTaskModel(
            CNN(1, 8, 8, widths=(4,), blocks=1), [Segmentation("a", classes=3)], sharing=sharing
        )


def test_an_encoder_that_is_joined_alone_has_its_stages_and_their_advice():
    cnn = CNN(1, 8, 8, widths=(4, 4), blocks=1)
    alone = Joined(None, {}, branches={"scan": cnn})
    assert len(alone.stages) == len(cnn.stages)
    assert {*map(id, alone.stages.parameters())} == {*map(id, alone.parameters())}
    with pytest.raises(InputError, match=r"has 3 stages.*one of them shared"):
        MultiTaskModel(
            alone, [Classification("c", classes=2)], sharing=create_sharing("hard", task_layers=5)
        )
    assert Joined(None, {}, branches={"a": cnn, "b": CNN(1, 8, 8)}).stages is None
    with pytest.raises(InputError, match=r"found images \(2, 3, 8, 8\)"):
        alone.stages[0]({"scan": torch.zeros(2, 3, 8, 8)})


@pytest.mark.parametrize(
    ("balancer", "path"),
    [
        ("uncertainty", "loss"),
        ("gradnorm", "loss and norms"),
        ("upgrad", "rows"),
        ("graddrop", "rows"),
        ({"type": "upgrad", "at": "representation"}, "representation"),
    ],
)
def test_every_family_of_balancers_trains_on_a_map(balancer, path):
    torch.manual_seed(0)
    tasks = [Segmentation("a", classes=4, ignore_index=255), PixelRegression("b")]
    model = MultiTaskModel(CNN(1, 5, 6, widths=(4,), blocks=1, stride=2), tasks)
    trainer = Trainer(model, balancer=balancer, batch_size=3)
    pixels = torch.randn(3, 1, 5, 6, generator=DRAW)
    result = trainer.train_step({"inputs": pixels, "targets": {"a": CLASSES, "b": NUMBERS}})
    assert result.balanced.path == path
    if path == "rows" and result.balanced.gramian is not None:
        assert_close(result.balanced.gramian, naive_gramian(tasks, pixels), rtol=1e-4, atol=1e-5)


def naive_gramian(tasks, pixels):
    """Inner products of the gradients of tasks, one backward pass each, on the first weights."""
    torch.manual_seed(0)
    model = MultiTaskModel(CNN(1, 5, 6, widths=(4,), blocks=1, stride=2), tasks)
    Trainer(model, balancer="equal", batch_size=3)
    raw, rows = model(pixels), []
    for task, target in zip(tasks, (CLASSES, NUMBERS), strict=True):
        total, count = task.loss(raw[task.name], target)
        shared = list(model.shared_parameters())
        found = torch.autograd.grad(total / count, shared, retain_graph=True)
        rows.append(torch.cat([each.flatten() for each in found]).double())
    both = torch.stack(rows)
    return both @ both.T


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (torch.zeros(3, 5, 5, 6), r"\(3, 5, 5, 6\), expected \(3, 4, H, W\)"),
        (torch.zeros(3, 4), r"\(3, 4\), expected \(3, 4, H, W\)"),
    ],
)
def test_raw_outputs_of_another_shape_are_refused(raw, told):
    with pytest.raises(InputError, match=told):
        Segmentation("a", classes=4).loss(raw, CLASSES)


def test_models_together_choose_the_class_that_most_of_them_do():
    task = Segmentation("a", classes=3)
    members = [task.decode(one_hot(torch.tensor([[each]]))) for each in ([0, 2], [1, 2], [1, 0])]
    assert task.combine(members).value.tolist() == [[[1, 2]]]
    task = PixelRegression("a")
    members = [task.decode(torch.full((1, 1, 1, 2), each)) for each in (1.0, 4.0)]
    assert task.combine(members).value.tolist() == [[[2.5, 2.5]]]


def test_balanced_class_weights_count_pixels():
    task = Segmentation("a", classes=4, ignore_index=255, class_weights="balanced")
    task.prepare(CLASSES)
    counts = torch.bincount(CLASSES[(CLASSES >= 0) & (CLASSES < 255)], minlength=4)
    assert_close(task.weights(), counts.sum() / (4.0 * counts))
    total, count = task.loss(RAW, CLASSES)
    plain = cross_entropy(
        RAW, CLASSES.where(CLASSES < 255, -100), weight=task.weights(), reduction="mean"
    )
    assert_close(total / count, plain)


def test_weights_of_rows_weigh_all_of_their_pixels():
    weights = torch.tensor([2.0, 1.0, 0.0])
    for task, raw, target in (
        (Segmentation("a", classes=4, ignore_index=255), RAW, CLASSES),
        (PixelRegression("a"), RAW[:, :1], NUMBERS),
    ):
        alone = [task.loss(raw[n : n + 1], target[n : n + 1]) for n in range(3)]
        total, count = task.loss(raw, target, weights)
        assert_close(total, 2 * alone[0][0] + alone[1][0])
        assert_close(count, 2 * alone[0][1] + alone[1][1])


def test_a_head_of_ones_own_maps_a_map():
    class Head(nn.Conv2d):
        def __init__(self, width):
            super().__init__(width, 2, 3, padding=1)

    encoder = CNN(1, 8, 8, widths=(4,), blocks=1, stride=2)
    model = MultiTaskModel(encoder, [Segmentation("a", classes=2, size=(8, 8), head=Head)])
    assert model(torch.zeros(2, 1, 8, 8))["a"].shape == (2, 2, 8, 8)
    wrong = MultiTaskModel(encoder, [Segmentation("a", classes=3, size=(8, 8), head=Head)])
    with pytest.raises(InputError, match=r"expected \(B, 3, ...\); end it with nn.Conv2d\(..., 3"):
        wrong(torch.zeros(2, 1, 8, 8))


def test_a_model_learns_both_from_one_map():
    draw = np.random.default_rng(0)
    images = draw.normal(0, 0.3, (96, 1, 8, 8)).astype(np.float32)
    masks, heights = np.full((96, 8, 8), 0), np.zeros((96, 8, 8), np.float32)
    for row, (top, left) in enumerate(draw.integers(0, 4, (96, 2))):
        masks[row, top : top + 4, left : left + 4] = 1
        heights[row] = 1 + masks[row] * (1 + row % 3)
        images[row, 0] += heights[row]
    masks[::5], heights[:, 0] = -100, np.nan
    torch.manual_seed(0)
    tasks = [Segmentation("mask", classes=2, size=(8, 8)), PixelRegression("height", size=(8, 8))]
    model = MultiTaskModel(CNN(1, 8, 8, widths=(16, 16), blocks=1, stride=1), tasks)
    trainer = Trainer(model, batch_size=16, learning_rate=1e-2, patience=None)
    data = (images, {"mask": masks, "height": heights})
    trainer.fit(data, epochs=6)
    found = trainer.evaluate(data)
    assert found["mask"]["mean_iou"] > 0.6
    assert found["height"]["mae"] < 0.3
