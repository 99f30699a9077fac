"""Contrastive tasks: NT-Xent against brute force, and views that change what they should."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import motet
from motet import MultiTaskModel, Trainer
from motet.data.inputs.shapes import InputShapes, NumberColumn, TableShape, TextSizes
from motet.problems import InputError
from motet.tasks import Contrastive, Regression, Vocabulary
from motet.tasks.row_views import RowViews, both

SEEDS = st.integers(0, 2**32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def partners(rows):
    return torch.arange(2 * rows).roll(rows)


def naive(views, temperature):
    """The mean of NT-Xent, in plain Python."""
    rows, total = len(views), 0.0
    unit = [[x / math.sqrt(sum(y * y for y in v)) for x in v] for v in views]
    for i in range(rows):
        alike = {
            j: math.exp(sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / temperature)
            for j in range(rows)
            if j != i
        }
        total -= math.log(alike[(i + rows // 2) % rows] / sum(alike.values()))
    return total / rows


@given(seed=SEEDS, rows=st.integers(2, 5), temperature=st.floats(0.1, 2.0))
def test_the_loss_is_that_by_hand(seed, rows, temperature):
    raw = torch.randn(2 * rows, 3, generator=generator(seed), dtype=torch.float64)
    task = Contrastive("a", width=3, temperature=temperature)
    total, count = task.loss(raw, partners(rows))
    assert count == 2 * rows == task.count(partners(rows))
    assert (total / count).item() == pytest.approx(naive(raw.tolist(), temperature))


@pytest.mark.parametrize(
    ("rows", "temperature", "expected"),
    [(2, 0.5, 0.239545), (2, 0.1, 9.0796e-5), (4, 0.5, 0.594438)],
)
def test_equal_partners_among_orthogonal_rows_have_known_losses(rows, temperature, expected):
    raw = torch.eye(rows, dtype=torch.float64).repeat(2, 1)
    total, count = Contrastive("a", width=rows, temperature=temperature).loss(raw, partners(rows))
    assert (total / count).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("raw", [torch.ones(8, 8), torch.eye(8)])
def test_without_any_order_the_loss_is_that_of_guessing(raw):
    total, count = Contrastive("a", width=8).loss(raw, partners(4))
    assert (total / count).item() == pytest.approx(math.log(7))


def test_one_row_has_nothing_to_be_told_from():
    raw = torch.randn(2, 3, requires_grad=True)
    total, count = Contrastive("a", width=3).loss(raw, partners(1))
    assert (total.item(), count.item()) == (0, 0)


def test_embeddings_of_no_length_have_finite_gradients():
    raw = torch.zeros(6, 3, requires_grad=True)
    Contrastive("a", width=3).loss(raw, partners(3))[0].backward()
    assert raw.grad.isfinite().all()


# Views -------------------------------------------------------------------------------------------


def test_swapped_cells_are_those_of_other_rows_in_the_same_column():
    cells = torch.arange(4000.0).reshape(1000, 4)
    first, second = RowViews("swap", 0.3)(cells, generator())
    assert first is cells
    changed = second != cells
    assert changed.float().mean() == pytest.approx(0.3, abs=0.03)
    assert ((second - cells) % 4 == 0).all()


def test_dropped_cells_are_zero_and_categories_unknown():
    rows = {"numbers": torch.ones(500, 3), "categories": torch.full((500, 2), 7)}
    _, second = RowViews("drop", 0.4)(rows, generator())
    for name, kept in (("numbers", 1), ("categories", 7)):
        assert set(second[name].unique().tolist()) == {0, kept}
        assert (second[name] == 0).float().mean() == pytest.approx(0.4, abs=0.05)
    assert second["categories"].dtype == torch.int64


def test_a_number_is_swapped_together_with_its_mark_of_missing():
    views = RowViews("swap", 0.5)
    columns = (NumberColumn("a"), NumberColumn("a missing", marks=1), NumberColumn("b"))
    views.read_shapes(InputShapes(TableShape(columns), {}, {}), "task 'a'")
    missing = (torch.arange(300) % 3 == 0).float()
    numbers = torch.stack([(1 - missing) * (1 + torch.arange(300)), missing, torch.ones(300)], 1)
    _, second = views({"numbers": numbers}, generator())
    second = second["numbers"]
    assert not second.equal(numbers)
    assert ((second[:, 0] == 0) == (second[:, 1] == 1)).all()


def test_frames_beside_a_table_stay_and_so_does_which_of_them_are_padding():
    frames = torch.randn(4, 9, 2, generator=generator())
    wave = {"frames": frames, "real": torch.arange(9) < torch.tensor([[9], [5], [2], [1]])}
    _, second = RowViews("swap", 0.9)({"numbers": torch.randn(4, 3), "wave": wave}, generator())
    assert torch.equal(second["wave"]["frames"], frames)
    assert torch.equal(second["wave"]["real"], wave["real"])


@given(seed=SEEDS)
def test_left_out_words_close_up_and_a_text_keeps_one(seed):
    length = torch.randint(1, 7, (20, 1), generator=generator(seed))
    ids = torch.randint(5, 99, (20, 7), generator=generator(seed)) * (torch.arange(7) < length)
    segments = (ids > 50).long()
    _, second = RowViews("swap", 0.6)({"ids": ids, "segments": segments}, generator(seed))
    for before, after, part in zip(ids, second["ids"], second["segments"], strict=True):
        words, left = before[before > 0].tolist(), after[after > 0].tolist()
        assert 1 <= len(left) <= len(words)
        assert after[: len(left)].tolist() == left  # padding only at the end
        places = iter(words)
        assert all(word in places for word in left)  # in their order
        assert part[: len(left)].tolist() == [int(word > 50) for word in left]


def test_special_tokens_stay():
    views = RowViews("drop", 0.9)
    views._vocabularies = {"review": Vocabulary(100, (0, 1, 2))}
    ids = torch.tensor([[1, 50, 51, 52, 2, 0]]).repeat(50, 1)
    _, second = views({"texts": {"review": {"ids": ids}}}, generator())
    second = second["texts"]["review"]["ids"]
    assert (second[:, 0] == 1).all()
    assert ((second == 2).sum(dim=1) == 1).all()
    assert (second > 2).sum() < 100


def test_two_inputs_are_two_views_by_a_function():
    inputs = {"question": torch.eye(3), "answer": torch.eye(3).flip(0)}
    task = Contrastive("same", views=lambda rows, _: (rows["question"], rows["answer"]))
    seen, partner = task.view(inputs, generator())
    assert seen.tolist() == [*torch.eye(3).tolist(), *torch.eye(3).flip(0).tolist()]
    assert partner.tolist() == [3, 4, 5, 0, 1, 2]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Contrastive("a", views=lambda i, g: (i, i), share=0.1),
            "no effect with a function",
        ),
        (
            lambda: Contrastive("a", views="shuffle").view(torch.eye(2), generator()),
            "views: found 'shuffle'; expected swap, drop, or the name of an input",
        ),
        (lambda: Contrastive("a", temperature=0), "temperature"),
        (
            lambda: Contrastive("a", views=lambda i, g: i).view(torch.eye(2), generator()),
            "both views",
        ),
        (lambda: both(torch.eye(2), torch.ones(3, 2)), "views of 2, 3 rows"),
        (lambda: both(torch.eye(2), torch.eye(3)), "same but for the rows"),
        (lambda: both(torch.eye(2), {"a": torch.eye(2)}), "expected the same form"),
        (
            lambda: RowViews("swap", 0.1)(torch.zeros(2, 3, 4, 4), generator()),
            "no cells and no tokens",
        ),
    ],
)
def test_a_mistake_is_an_error_that_names_what_was_expected(make, words):
    with pytest.raises(InputError, match=words):
        make()


# Training ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("balanced", [True, False])
def test_a_view_is_recognised_after_training(balanced):
    torch.manual_seed(0)
    x = torch.randn(300, 2, generator=generator()) @ torch.randn(2, 6, generator=generator(1))
    tasks = [Regression("y"), Contrastive("same", width=8, balanced=balanced)]
    model = MultiTaskModel(nn.Sequential(nn.Linear(6, 16), nn.ReLU()), tasks)
    trainer = Trainer(model, "pcgrad", batch_size=100, learning_rate=1e-2)
    data = (x, {"y": x[:, 0]})
    before = trainer.evaluate(data)["same"]["loss"]
    trainer.fit(data, epochs=15)
    report = trainer.evaluate(data)
    assert report["same"]["loss"] < before - 0.3
    assert report["y"]["r2"] > 0.9
    assert "same" not in trainer.predict(x)


def test_micro_batches_are_refused():
    tasks = [Regression("y"), Contrastive("same")]
    with pytest.raises(InputError, match="'same', whose loss compares the rows of a batch"):
        Trainer(MultiTaskModel(nn.Linear(6, 16), tasks), accumulate=2)


def test_a_run_has_it_beside_tables_and_texts(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    words = np.array(
        ["good", "fine", "bad", "poor", "blue", "red", "green", "tall", "small", "odd"]
    )
    rows = {
        "a": np.where(rng.random(300) < 0.2, np.nan, x[:, 0]),
        "b": x[:, 1],
        "job": rng.choice(["cook", "clerk", "smith"], 300),
        "review": [" ".join(rng.choice(words, 6)) + f" {i}" for i in range(300)],
        "y": x[:, 0],
    }
    config = {
        "inputs": {
            "a": "number",
            "b": "number",
            "job": "category",
            "review": {"type": "text", "encoder": {"type": "lstm"}},
        },
        "tasks": {"y": "regression", "same": {"type": "contrastive", "views": "drop", "width": 8}},
        "training": {"epochs": 2, "batch_size": 64},
    }
    run = motet.train(config, rows, output=tmp_path / "run")
    assert motet.load(run.path).predict(rows).column_names == ["y"]
    assert 0 < run.evaluate(rows, split="test")["same"]["loss"] < 10


# Inputs as views ---------------------------------------------------------------------------------


def test_an_input_is_the_second_view_and_all_others_the_first():
    shapes = InputShapes.of(
        {
            "age": TableShape((NumberColumn("age"),)),
            "place": TableShape((), (5,)),
            "vector": TableShape((NumberColumn("v0"), NumberColumn("v1"))),
            "title": TextSizes(9),
            "body": TextSizes(9),
        }
    )
    ids = torch.tensor([[3, 4], [5, 0]])
    rows = {
        "numbers": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        "categories": torch.tensor([[1], [2]]),
        "texts": {"title": {"ids": ids}, "body": {"ids": ids + 1}},
    }

    def of(second):
        task = Contrastive("a", views=second)
        task.read_shapes(shapes)
        return task.view(rows, generator())[0]

    made = of("vector")
    assert made["numbers"].tolist() == [[1, 0, 0], [4, 0, 0], [0, 2, 3], [0, 5, 6]]
    assert made["categories"].tolist() == [[1], [2], [0], [0]]
    assert made["texts"]["title"]["ids"].tolist() == [[3, 4], [5, 0], [0, 0], [0, 0]]
    made = of("title")
    assert made["texts"]["title"]["ids"].tolist() == [[0, 0], [0, 0], [3, 4], [5, 0]]
    assert made["texts"]["body"]["ids"].tolist() == [[4, 5], [6, 1], [0, 0], [0, 0]]
    assert made["numbers"][2:].eq(0).all()
    with pytest.raises(
        InputError, match=r"views: found 'titel'; expected swap, drop, or .*'title'"
    ):
        of("titel")
    with pytest.raises(InputError, match="views: found 'title', the only input"):
        Contrastive("a", views="title").read_shapes(InputShapes.of({"title": TextSizes(9)}))
    with pytest.raises(InputError, match=r"share: has no effect with views: title, an input"):
        Contrastive("a", views="title", share=0.1)


def test_rows_of_a_source_without_the_second_view_have_none():
    task = Contrastive("a", views="body")
    assert task.applies({"texts": {"title": None}})
    assert not task.applies({"texts": {"body": None}})
    assert not task.applies({"body": None})


def test_two_inputs_that_say_the_same_are_found_in_each_other():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(256, 3)).astype(np.float32)
    rows = {
        "one": hidden @ rng.normal(size=(3, 5)).astype(np.float32),
        "two": hidden @ rng.normal(size=(3, 4)).astype(np.float32),
    }
    torch.manual_seed(0)
    encoders = {"one": nn.Linear(5, 16), "two": nn.Linear(4, 16)}
    tasks = [Regression("b"), Contrastive("a", views="two", width=8)]
    model = MultiTaskModel(encoders=encoders, tasks=tasks)
    history = Trainer(model, learning_rate=0.01, batch_size=64).fit(
        (rows, {"b": hidden[:, 0]}), epochs=15
    )
    losses = history.curve("a", "loss", "train")
    assert losses[-1] < 0.8 * losses[0]  # of equal views about 0.6, as the temperature is 0.5
