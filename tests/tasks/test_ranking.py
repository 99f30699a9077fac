"""Rankings: losses and metrics against brute force, over lists that are never cut."""

import math
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from torch import nn
from torch.testing import assert_close

from motet import MultiTaskModel, Trainer
from motet.data import Sources
from motet.problems import InputError
from motet.tasks import Ranking, Regression, ScoredRows, TaskMetrics
from motet.tasks.metrics.rankings import map_, mrr, ndcg

NAN = math.nan
FORMS = {
    "pointwise": Ranking("a", form="pointwise"),
    "pairwise": Ranking("a", form="pairwise"),
    "ndcg": Ranking("a", form="pairwise", weighting="ndcg"),
    "listwise": Ranking("a", form="listwise"),
}
SEEDS = st.integers(0, 2**32)


def lists(*relevances):
    """Targets (N, 2) of whole lists."""
    return torch.tensor([[r, float(q)] for q, each in enumerate(relevances) for r in each])


def softplus(x):
    return math.log1p(math.exp(-abs(x))) + max(x, 0)


def dcg(relevance):
    return sum((2**r - 1) / math.log2(place + 2) for place, r in enumerate(relevance))


def naive_list(form, scores, relevance):
    """The loss of one list, and whether it counts, in plain Python."""
    n = len(scores)
    if form == "listwise":
        wanted = [math.exp(r) / sum(map(math.exp, relevance)) for r in relevance]
        logs = [s - math.log(sum(map(math.exp, scores))) for s in scores]
        return -sum(w * x for w, x in zip(wanted, logs, strict=True)), n > 1
    pairs = [(i, j) for i in range(n) for j in range(n) if relevance[i] > relevance[j]]
    if not pairs:
        return 0.0, False
    order = sorted(range(n), key=lambda i: -scores[i])
    ideal = dcg(sorted(relevance, reverse=True))
    total = 0.0
    for i, j in pairs:
        swapped = [{i: j, j: i}.get(each, each) for each in order]
        change = dcg([relevance[k] for k in order]) - dcg([relevance[k] for k in swapped])
        weight = abs(change) / ideal if form == "ndcg" else 1.0
        total += weight * softplus(scores[j] - scores[i])
    return total / len(pairs), True


@pytest.mark.parametrize("form", ["pairwise", "ndcg", "listwise"])
@given(seed=SEEDS)
def test_losses_are_those_of_each_list_by_itself(form, seed):
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randint(0, 5, (14,), generator=generator)
    relevance = torch.randint(0, 4, (14,), generator=generator)
    scores = torch.randn(14, generator=generator, dtype=torch.float64)
    target = torch.stack([relevance, queries], dim=1).double()
    target[torch.rand(14, generator=generator) < 0.2, 0] = NAN
    total = count = 0
    for query in range(5):
        own = (queries == query) & ~target[:, 0].isnan()
        loss, counts = naive_list(form, scores[own].tolist(), relevance[own].tolist())
        total, count = total + loss, count + counts
    found = FORMS[form].loss(scores, target)
    assert_close(found[0], torch.tensor(total, dtype=torch.float64).reshape(()))
    assert found[1] == count == FORMS[form].count(target)


@pytest.mark.parametrize(
    ("form", "scores", "expected"),
    [
        ("pairwise", [1.0, 0.0, 2.0], 1.251150),
        ("pairwise", [0.0, 0.0, 0.0], math.log(2)),
        ("listwise", [1.0, 0.0, 2.0], 1.562304),
        ("listwise", [0.0, 0.0, 0.0], 1.098612),
        ("listwise", [2.0, 1.0, 0.0], 0.832396),
        ("pointwise", [1.0, 0.0, 2.0], 2.0),
    ],
)
def test_losses_have_known_values(form, scores, expected):
    total, count = FORMS[form].loss(torch.tensor(scores), lists([2, 1, 0]))
    assert (total / count).item() == pytest.approx(expected, abs=1e-6)


def test_a_gap_of_one_costs_what_the_logistic_function_says():
    total, count = FORMS["pairwise"].loss(torch.tensor([1.0, 0.0]), lists([1, 0]))
    assert (total / count).item() == pytest.approx(0.313262, abs=1e-6)


def test_binary_cross_entropy_and_functions_are_losses_of_rows():
    scores, target = torch.tensor([0.5, -1.0, 3.0]), lists([1, 0], [NAN])
    loss = nn.BCEWithLogitsLoss(reduction="sum")
    expected = loss(scores[:2], target[:2, 0])
    for given_loss in ("binary_cross_entropy", nn.BCEWithLogitsLoss()):
        task = Ranking("a", form="pointwise", loss=given_loss)
        assert_close(task.loss(scores, target), (expected, torch.tensor(2.0)))


@pytest.mark.parametrize("form", FORMS)
@given(seed=SEEDS)
def test_sums_and_counts_of_whole_lists_add_up(form, seed):
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randint(0, 6, (20,), generator=generator).sort().values
    target = torch.stack([torch.randint(0, 3, (20,), generator=generator), queries], 1).float()
    raw = torch.randn(20, generator=generator)
    cut = int((queries < 3).sum())
    whole = FORMS[form].loss(raw, target)
    parts = [FORMS[form].loss(raw[a:b], target[a:b]) for a, b in ((0, cut), (cut, 20))]
    assert_close(tuple(sum(each) for each in zip(*parts, strict=True)), whole)


@pytest.mark.parametrize("form", FORMS)
@given(seed=SEEDS)
def test_a_row_without_a_label_is_in_no_list_and_gets_no_gradient(form, seed):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 3, (12, 2), generator=generator).float()
    target[torch.rand(12, 2, generator=generator) < 0.3] = NAN
    raw = torch.randn(12, generator=generator)
    known = ~target.isnan().any(dim=1)
    expected = FORMS[form].loss(raw[known], target[known])
    raw[~known] = NAN
    raw.requires_grad_()
    total, count = FORMS[form].loss(raw, target)
    assert_close((total, count), expected)
    total.backward()
    assert (raw.grad[~known] == 0).all()
    assert raw.grad.isfinite().all()


@given(seed=SEEDS)
def test_rows_have_weights_where_each_is_scored_by_itself(seed):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 3, (9, 2), generator=generator).float()
    raw = torch.randn(9, generator=generator)
    weights = torch.randint(0, 3, (9,), generator=generator).float()
    total, count = FORMS["pointwise"].loss(raw, target, weights)
    expected = (weights * (raw - target[:, 0]).square()).sum()
    assert_close((total, count), (expected, weights.sum()))
    assert count == FORMS["pointwise"].count(target, weights)
    for form in ("pairwise", "listwise"):
        with pytest.raises(InputError, match="found weights of rows, but its loss compares"):
            FORMS[form].loss(raw, target, weights)
        with pytest.raises(InputError, match="or choose form: pointwise"):
            FORMS[form].statistics(target, weights)


def test_lists_with_nothing_to_compare_count_zero():
    target = lists([1], [2, 2], [1, 0])
    raw = torch.randn(5)
    counts = {form: FORMS[form].loss(raw, target)[1].item() for form in FORMS}
    assert counts == {"pointwise": 5, "pairwise": 1, "ndcg": 1, "listwise": 2}


# Metrics ---------------------------------------------------------------------------------------


def scored(values, target):
    return ScoredRows(torch.as_tensor(values, dtype=torch.float64), None, target.double())


def over_all_orders(values, relevance, of_order):
    """The mean over all orders in which scores do not rise."""
    found = []
    for order in permutations(range(len(values))):
        ranked = [values[i] for i in order]
        if all(a >= b for a, b in pairwise(ranked)):
            found.append(of_order([relevance[i] for i in order]))
    return sum(found) / len(found)


def reciprocal(relevance, last=99):
    return next((1 / (i + 1) for i, r in enumerate(relevance[:last]) if r > 0), 0.0)


def precision(relevance, last=99):
    hits = [i for i, r in enumerate(relevance) if r > 0]
    at = [(place + 1) / (i + 1) for place, i in enumerate(hits) if i < last]
    return sum(at) / min(len(hits), last)


def gain(relevance, last=99):
    return dcg(relevance[:last]) / dcg(sorted(relevance, reverse=True)[:last])


@pytest.mark.parametrize("last", [None, 1, 2, 4])
@pytest.mark.parametrize(("metric", "naive"), [(ndcg, gain), (mrr, reciprocal), (map_, precision)])
@given(seed=SEEDS)
def test_metrics_are_means_over_the_orders_of_tied_rows(metric, naive, last, seed):
    generator = np.random.default_rng(seed)
    relevances = [generator.integers(0, 4, n).tolist() for n in generator.integers(1, 6, 3)]
    values = [generator.integers(0, 3, len(each)).tolist() for each in relevances]
    usable = [(v, r) for v, r in zip(values, relevances, strict=True) if any(r)]
    found = (metric if last is None else metric.at(last))(
        scored([s for each in values for s in each], lists(*relevances))
    )
    if not usable:
        assert math.isnan(found.value)
        assert found.note == "none of 3 lists has a row of relevance above 0"
        return
    scores = [over_all_orders(v, r, lambda each: naive(each, last or 99)) for v, r in usable]
    assert found.value == pytest.approx(sum(scores) / len(scores), abs=1e-12)
    assert (len(usable) < 3) == bool(found.note)


@given(seed=SEEDS, last=st.integers(1, 9))
def test_ndcg_agrees_with_scikit_learn(seed, last):
    generator = np.random.default_rng(seed)
    relevance = generator.integers(0, 4, 8)
    relevance[0] = 3
    values = generator.integers(0, 5, 8)
    found = ndcg.at(last)(scored(values, lists(relevance.tolist())))
    assert found.value == pytest.approx(ndcg_score([2.0**relevance - 1], [values], k=last))


def test_metrics_have_known_values():
    rows = scored([6, 5, 4, 3, 2, 1], lists([3, 2, 3, 0, 1, 2]))
    assert ndcg(rows).value == pytest.approx(0.948811, abs=1e-6)
    assert ndcg.at(3)(rows).value == pytest.approx(0.959454, abs=1e-6)
    tied = scored([0, 0, 0], lists([1, 0, 0]))
    assert ndcg(tied).value == pytest.approx(0.710310, abs=1e-6)
    assert mrr(tied).value == pytest.approx(0.611111, abs=1e-6)
    assert map_(scored([4, 3, 2, 1], lists([1, 0, 1, 0]))).value == pytest.approx(
        0.833333, abs=1e-6
    )


def test_a_relevance_of_any_size_gives_a_gain():
    rows = scored([3, 2, 1], lists([2000, 1999, 0]))
    assert ndcg(rows).value == 1
    assert ndcg(scored([1, 2, 3], lists([2000, 1999, 0]))).value < 1


@given(seed=SEEDS)
def test_batches_of_whole_lists_give_the_metrics_of_all(seed):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 3, (30, 2), generator=generator).float()
    target[:, 1] += 3 * (torch.arange(30) // 10)
    raw = torch.randn(30, generator=generator).round()
    whole, parts = TaskMetrics([Ranking("a")]), TaskMetrics([Ranking("a")])
    whole.update({"a": raw}, {"a": target})
    for start in range(0, 30, 10):
        parts.update({"a": raw[start : start + 10]}, {"a": target[start : start + 10]})
    assert parts.compute("a") == pytest.approx(whole.compute("a"), nan_ok=True)
    parts._add_pending("a")
    assert parts.notes == whole.notes


# Options and training ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "listwise", "loss": "mse"}, "loss"),
        ({"form": "listwise", "weighting": "ndcg"}, "weighting"),
        ({"form": "triplewise"}, "triplewise"),
        ({"metrics": ["ndcg@0"]}, "whole number of positions"),
        ({"metrics": ["accuracy"]}, "does not suit ranking"),
    ],
)
def test_an_option_without_effect_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        TaskMetrics([Ranking("a", **options)])


def test_a_metric_without_positions_cannot_be_cut_off():
    with pytest.raises(InputError, match=r"r2 has no positions.*ndcg@10"):
        TaskMetrics([Regression("a", metrics=["r2@5"])])
    (name,) = TaskMetrics([Ranking("a", metrics=["ndcg@7"])]).metrics["a"]
    assert name == "ndcg@7"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (torch.zeros(4), r"shape \(4,\), expected \(4, 2\)"),
        (lists([1, -2]), "the relevance -2 in row 1"),
        (torch.tensor([[1.0, 0.5]]), "the query 0.5 in row 0"),
        (torch.tensor([[1.0, 2.0**24]]), "float32 has the same number"),
    ],
)
def test_labels_are_checked(target, words):
    with pytest.raises(InputError, match=words):
        FORMS["pairwise"].check(target)


def test_lists_of_one_row_alone_cannot_be_trained():
    x = torch.randn(4, 2)
    trainer = Trainer(MultiTaskModel(nn.Linear(2, 2), [Ranking("a")]))
    with pytest.raises(InputError, match="each of the 4 lists of the training data has one row"):
        trainer.fit((x, {"a": lists([1], [0], [2], [1])}), epochs=1)


def rows(count, seed=0):
    """Lists of 2 to 7 rows in disorder, whose relevance follows one input within each list."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.repeat_interleave(torch.arange(count), 2 + torch.arange(count) % 6)
    queries = queries[torch.randperm(len(queries), generator=generator)]
    x = torch.randn(len(queries), 4, generator=generator)
    relevance = (2 * x[:, 0] + torch.randn(count, generator=generator)[queries]).clamp(0, 4).round()
    return x, torch.stack([relevance, queries], dim=1).float()


@pytest.mark.parametrize("form", FORMS)
def test_a_ranking_is_learned_from_python(form):
    torch.manual_seed(0)
    x, target = rows(60)
    model = MultiTaskModel(nn.Linear(4, 8), [FORMS[form]])
    trainer = Trainer(model, batch_size=32, learning_rate=0.05)
    trainer.fit((x, {"a": target}), epochs=15)
    report = trainer.evaluate((x, {"a": target}))
    assert report["a"]["ndcg"] > 0.9
    assert trainer.predict(x)["a"].shape == (len(x),)


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad"])
@pytest.mark.parametrize("form", ["pairwise", "listwise"])
def test_micro_batches_of_whole_lists_give_the_step_of_the_whole_batch(form, balancer):
    x, target = rows(12)
    after = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        tasks = [Ranking("a", form=form), Regression("b")]
        model = MultiTaskModel(nn.Linear(4, 8), tasks).double()
        trainer = Trainer(model, balancer, accumulate=accumulate, optimizer="sgd")
        batch = {"inputs": x.double(), "targets": {"a": target.double(), "b": x[:, 1].double()}}
        for _ in range(3):
            trainer.train_step(batch)
        after.append([parameter.detach() for parameter in model.parameters()])
    assert_close(*after)


def test_evaluation_and_epochs_see_whole_lists():
    x, target = rows(40)
    trainer = Trainer(MultiTaskModel(nn.Linear(4, 8), [Ranking("a")]), batch_size=10)
    expected = TaskMetrics([Ranking("a")])
    with torch.no_grad():
        expected.update({"a": trainer.model(x)["a"]}, {"a": target})
    assert trainer.evaluate((x, {"a": target}))["a"] == pytest.approx(
        expected.compute("a"), rel=1e-5
    )


def test_every_pair_of_a_list_is_trained_on_in_every_epoch():
    x, target = rows(20)
    seen = set()

    class Watched(nn.Linear):
        def forward(self, inputs):
            seen.update(combinations(sorted(inputs[:, 0].tolist()), 2))
            return super().forward(inputs)

    trainer = Trainer(MultiTaskModel(Watched(4, 8), [Ranking("a")]), batch_size=9)
    trainer.train_epoch((x, {"a": target}))
    for query in range(20):
        own = sorted(x[target[:, 1] == query, 0].tolist())
        assert set(combinations(own, 2)) <= seen


def test_lists_of_one_of_several_sources_are_whole():
    x, target = rows(20)
    others = torch.randn(80, 4)
    seen = []

    class Watched(nn.Linear):
        def forward(self, inputs):
            seen.append(set(inputs[:, 0].tolist()))
            return super().forward(inputs)

    tasks = [Ranking("a"), Regression("b")]
    data = Sources({"lists": (x, {"a": target}), "others": (others, {"b": others[:, 1]})})
    trainer = Trainer(MultiTaskModel(Watched(4, 8), tasks), batch_size=9)
    trainer.fit(data, epochs=2)
    for query in range(20):
        own = set(x[target[:, 1] == query, 0].tolist())
        assert all(own <= batch or not own & batch for batch in seen)


def test_uncertainty_weighting_takes_the_squared_error_for_a_gaussian():
    kinds = {form: Ranking("r", form=form).uncertainty_kind for form in ("pointwise", "listwise")}
    assert kinds == {"pointwise": "regression", "listwise": "classification"}
    entropy = Ranking("r", form="pointwise", loss="binary_cross_entropy")
    assert entropy.uncertainty_kind == "classification"
