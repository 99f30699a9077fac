"""Similarity of tasks: known values, other libraries' values, and traps of each measurement."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from motet.analysis import cka, correlation, similarity
from motet.analysis.label_information import entropy, mutual_information
from motet.problems import InputError

RNG = np.random.default_rng(0)


def between(values, **options):
    return float(similarity(values, **options).matrix[0, 1])


def test_cosines_are_averaged_and_not_gradients():
    gradients = {"a": [[1, 0], [-1, 0.01]], "b": [[-1, 0], [1, 0.01]]}
    assert between(gradients, by="gradients") == pytest.approx(-0.9999, abs=1e-4)
    means = {task: np.mean(steps, axis=0) for task, steps in gradients.items()}
    assert between(means, by="gradients") == pytest.approx(1)


def test_absent_tasks_are_left_out_pair_by_pair():
    gone = [np.nan, np.nan]
    found = similarity(
        {"a": [[1, 0], [1, 0], gone], "b": [[1, 0], gone, [0, 1]], "c": [[0, 1], [1, 0], [0, 1]]},
        by="gradients",
    )
    assert found.counts.tolist() == [[2, 1, 1 + 1], [1, 2, 2], [2, 2, 3]]
    assert found.matrix.tolist() == [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]]


@pytest.mark.parametrize("steps", [1, 3, 200])
def test_a_constant_cosine_is_found_at_every_number_of_steps_whatever_is_forgotten(steps):
    other = [0.3, np.sqrt(1 - 0.09)]
    values = {"a": [[1.0, 0.0]] * steps, "b": [other] * steps}
    for decay in (None, 0.99):
        assert between(values, by="gradients", decay=decay) == pytest.approx(0.3)


def test_decay_is_a_bias_corrected_moving_average_of_each_pair():
    a, b = RNG.normal(size=(2, 30, 4))
    a[7] = np.nan
    average, count = 0.0, 0
    for own, other in zip(a, b, strict=True):
        if not np.isnan(own).any():
            cosine = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
            average, count = 0.9 * average + 0.1 * cosine, count + 1
    found = between({"a": a, "b": b}, by="gradients", decay=0.9)
    assert found == pytest.approx(average / (1 - 0.9**count))


def test_tensors_of_training_are_read_and_a_zero_gradient_resembles_nothing():
    gradient = torch.tensor([1.0, 1.0], requires_grad=True, dtype=torch.bfloat16)
    assert between({"a": gradient, "b": torch.zeros(2)}, by="gradients") == 0


def test_right_and_wrong_rows_correlate_by_a_half_in_the_known_case():
    right = {"a": [1, 1, 1, 1, 0, 0, 0, 0, np.nan], "b": [1, 1, 1, 0, 0, 0, 0, 1, 1]}
    found = similarity(right, by="performance")
    assert found.matrix[0, 1] == 0.5
    assert found.counts[0, 1] == 8


def test_curves_of_unrelated_tasks_are_not_similar_though_both_improve():
    steps, found, raw, spread = np.arange(20), [], [], None
    for seed in range(300):
        noise = np.random.default_rng(seed).normal(0, 0.01, (2, 20))
        a, b = 1 - np.exp(-steps / 5) + noise[0], 1 - np.exp(-steps / 7) + noise[1]
        result = similarity({"a": a, "b": b}, by="curves")
        found.append(result.matrix[0, 1])
        raw.append(correlation(a, b))
        spread = result.spread
    assert np.mean(raw) > 0.95
    assert abs(np.mean(found)) < 0.1
    assert np.std(found) == pytest.approx(spread, rel=0.15)
    assert spread == pytest.approx(0.31, abs=0.03)


def test_linear_cka_has_its_known_values():
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 4)) - 0)[0]
    q -= q.mean(axis=0)
    a, b, c = np.linalg.qr(q)[0].T[:3]
    assert cka(np.c_[a, b], a[:, None], debiased=False) == pytest.approx(1 / np.sqrt(2))
    assert cka(np.c_[a, b], np.c_[b, c], debiased=False) == pytest.approx(0.5)
    assert cka(a[:, None], b[:, None], debiased=False) == pytest.approx(0, abs=1e-12)


def test_debiased_cka_is_its_definition_and_does_not_find_chance():
    x, y = RNG.normal(size=(50, 200)), RNG.normal(size=(50, 200))

    def hsic(one, other):
        k, m, n = one @ one.T, other @ other.T, len(one)
        np.fill_diagonal(k, 0), np.fill_diagonal(m, 0)
        ones = np.ones(n)
        return (
            np.trace(k @ m)
            + (ones @ k @ ones) * (ones @ m @ ones) / (n - 1) / (n - 2)
            - 2 / (n - 2) * ones @ k @ m @ ones
        )

    expected = hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))
    assert cka(x, y) == pytest.approx(expected)
    assert abs(cka(x, y)) < 0.05
    assert cka(x, y, debiased=False) == pytest.approx(0.8, abs=0.03)


def test_cka_does_not_change_with_a_rotation_and_a_factor():
    x, y = RNG.normal(size=(30, 5)), RNG.normal(size=(30, 5))
    rotation = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    assert cka(x, 3 * x @ rotation + 7) == pytest.approx(1)
    assert between({"a": x, "b": y}, by="representations") == pytest.approx(cka(x @ rotation, y))


def test_mutual_information_has_its_known_value():
    joint = np.array([[0.4, 0.1], [0.1, 0.4]])
    assert mutual_information(joint) == pytest.approx(0.192745, abs=1e-6)
    half = entropy(np.array([0.5, 0.5]))
    assert mutual_information(joint) / half == pytest.approx(0.278072, abs=1e-6)


def test_label_similarity_is_that_of_scikit_learn_and_not_of_chance():
    a, noise = RNG.integers(0, 10, 200), RNG.integers(0, 10, 200)
    b = np.where(RNG.random(200) < 0.5, a, noise)
    names = [f"class {each}" for each in b]
    for other in (b, noise):
        expected = adjusted_mutual_info_score(a, other, average_method="geometric")
        assert between({"a": a, "b": other}, by="labels") == pytest.approx(expected, abs=1e-9)
    assert between({"a": a, "b": names}, by="labels") == between({"a": a, "b": b}, by="labels")
    assert abs(between({"a": a, "b": noise}, by="labels")) < 0.05


def test_numbers_are_binned_and_missing_labels_left_out():
    number = RNG.normal(size=300)
    with_gaps = np.where(np.arange(300) < 40, np.nan, np.exp(number))
    found = similarity({"a": number, "b": with_gaps}, by="labels")
    assert found.counts[0, 1] == 260
    assert found.matrix[0, 1] > 0.85
    assert np.isnan(between({"a": number, "b": [1] * 300}, by="labels"))


def test_labels_that_all_differ_say_nothing():
    assert np.isnan(between({"a": list("abcd"), "b": list("efgh")}, by="labels"))
    assert between({"a": list("abcd"), "b": list("eefg")}, by="labels") == pytest.approx(0)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"a": [1]}, {"by": "labels"}, "found 1 tasks"),
        ({"a": [1], "b": [1]}, {"by": "label"}, "by: found 'label'; did you mean 'labels'"),
        ({"a": [1, 2], "b": [1, 2]}, {"by": "labels", "decay": 0.9}, "decay: it has no effect"),
        ({"a": [1.0] * 11, "b": [2.0] * 11}, {"by": "curves"}, "curves of 11 .* at least 12"),
        ({"a": [1.0] * 12, "b": [np.nan] * 12}, {"by": "curves"}, "a curve of 'b' that is not"),
        ({"a": [1.0, 2], "b": [1.0, np.inf]}, {"by": "performance"}, "infinite number of 'b'"),
        ({"a": [1.0, 2], "b": [1.0]}, {"by": "performance"}, r"shape \(1,\) of 'b' and \(2,\)"),
        ({"a": [[1.0], [2]], "b": [[1.0]]}, {"by": "performance"}, r"expected \(N,\)"),
        ({"a": [[1.0]], "b": [[1.0]]}, {"by": "representations"}, "expected the same rows .* 4"),
        ({"a": [1, "x"], "b": [1, 2]}, {"by": "labels"}, "cannot be compared with each other"),
    ],
)
def test_what_cannot_be_compared_is_named(values, options, message):
    with pytest.raises(InputError, match=message):
        similarity(values, **options)
