"""What is exported is compared with the model: rounding passes, everything else is an error."""

import pytest
import torch

from motet.export.checking import Difference, ExportError, compared, units_of
from motet.tasks import Regression


def difference(expected, found, *, probability=False, units=(0.0,)):
    made = Difference(probability, units)
    made.add(torch.as_tensor(expected), torch.as_tensor(found))
    return made


def test_numbers_may_differ_by_rounding_whatever_their_unit():
    assert difference([1e6, 2e6], [1e6 + 1, 2e6]).acceptable
    assert not difference([1e-6, 2e-6], [1e-6, 3e-6]).acceptable
    assert not difference([1.0, 2.0], [1.0, 2.1]).acceptable


def test_numbers_far_from_zero_may_not_hide_a_difference():
    assert not difference([1e6, 1e6 + 10], [1e6, 1e6 + 5]).acceptable


def test_numbers_with_units_of_their_own_are_judged_apart():
    expected, found = [[0.0, 0.0], [1e6, 1.0]], [[1.0, 0.0], [1e6, 1.0]]
    assert difference(expected, found, units=(1.0, 1.0)).acceptable
    made = difference(expected, [[0.0, 1.0], [1e6, 1.0]], units=(1.0, 1.0))
    assert not made.acceptable
    assert str(made) == "greatest difference 1, of numbers up to 1"


def test_predictions_that_are_almost_equal_may_differ_by_rounding_of_what_the_network_computes():
    expected, found = [1e-4, 1.01e-4], [1.001e-4, 1.01e-4]
    assert not difference(expected, found).acceptable
    assert difference(expected, found, units=(1.0,)).acceptable
    assert units_of(Regression("a", scaling=(5.0, 2.0))) == (2.0,)
    own = Regression("a", outputs=2, scaling=([0.0, 0.0], [2.0, 3.0]))
    assert units_of(own) == (2.0, 3.0)
    logs = Regression(
        "a",
        outputs=2,
        scaling=([0.0, 0.0], [2.0, 3.0]),
        transform="log",
        log_scale=[None, 10.0],
    )
    assert units_of(logs) == (2.0, 30.0)


def test_an_infinite_number_does_not_excuse_others():
    inf = float("inf")
    assert difference([inf, 1.0], [inf, 1.0]).acceptable
    assert not difference([inf, 1.0, 2.0], [inf, 1.0, 5.0]).acceptable
    assert not difference([inf, 1.0], [3.0, 1.0]).acceptable


def test_of_few_rows_no_class_may_differ_and_padding_does_not_count():
    assert not difference([0, 1], [0, 0]).acceptable
    padded = torch.full((1, 5000), -100)
    padded[0, 0] = 1
    assert not difference(padded, torch.full((1, 5000), -100)).acceptable


def test_probabilities_may_differ_by_rounding_however_small_they_are():
    assert difference([1e-9, 1.0], [2e-9, 1.0], probability=True).acceptable
    assert not difference([0.2, 0.8], [0.201, 0.799], probability=True).acceptable


def test_few_classes_may_differ_as_of_equal_ones_rounding_decides():
    classes = torch.zeros(1000, dtype=torch.long)
    other = classes.clone()
    other[0] = 1
    assert difference(classes, other).acceptable
    other[:2] = 1
    assert not difference(classes, other).acceptable


def test_what_is_missing_is_missing_in_both():
    nan = float("nan")
    assert difference([1.0, nan], [1.0, nan]).acceptable
    assert not difference([1.0, nan], [1.0, 0.0]).acceptable
    assert not difference([1.0, 2.0], [1.0, nan]).acceptable


def outputs(**values):
    return lambda batch: {name: torch.tensor(each) for name, each in values.items()}


def test_a_difference_is_an_error_that_names_the_output_and_how_far_it_is():
    right, wrong = outputs(a=[1.0], b=[2.0]), outputs(a=[1.0], b=[2.5])
    assert compared(right, right, [{}, {}], {})["a"].compared == 2
    with pytest.raises(ExportError, match=r"b: greatest difference 0\.5, of numbers up to 2"):
        compared(right, wrong, [{}], {})


def test_outputs_of_another_form_or_none_are_errors():
    with pytest.raises(ExportError, match=r"gives \(2,\) for a, expected \(1,\)"):
        compared(outputs(a=[1.0]), outputs(a=[1.0, 2.0]), [{}], {})
    with pytest.raises(ExportError, match="gives nothing for a"):
        compared(outputs(a=[1.0]), outputs(), [{}], {})


def test_rows_that_an_exported_model_cannot_compute_are_named_by_their_shapes():
    def fails(batch):
        raise RuntimeError("expected 3")

    with pytest.raises(ExportError, match=r"fails .* \(numbers \(2, 4\)\): expected 3"):
        compared(outputs(a=[1.0]), fails, [{"numbers": torch.zeros(2, 4)}], {})
