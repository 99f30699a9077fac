import numpy as np
import pytest
import torch

from motet.tasks.labels import as_tensor, present

NAN = torch.nan


@pytest.mark.parametrize(
    ("labels", "target", "expected"),
    [
        ("class", torch.tensor([1, -100, 0]), [True, False, True]),
        ("class", torch.tensor([1.0, NAN, -100.0]), [True, False, False]),
        ("class", torch.tensor([[1], [-100]]), [True, False]),
        ("class", torch.tensor([156], dtype=torch.uint8), [True]),
        ("class", torch.tensor([[0.5, 0.5], [NAN, NAN]]), [True, False]),
        ("number", torch.tensor([-100.0, NAN]), [True, False]),
        ("number", torch.tensor([-100, 3]), [True, True]),
        ("number", torch.tensor([[1.0, NAN]]), [[True, False]]),
        ("indicators", torch.tensor([[1, -100]]), [[True, False]]),
        ("indicators", torch.tensor([[NAN], [0.0]]), [[False], [True]]),
        ("indicators", torch.tensor([[True, False]]), [[True, True]]),
    ],
)
def test_missing_labels_are_found_in_every_form(labels, target, expected):
    assert present(target, labels).tolist() == expected


def test_none_in_a_list_or_an_object_array_is_a_missing_label():
    for values in ([1.0, None], np.array([1, None], dtype=object)):
        assert as_tensor(values).isnan().tolist() == [False, True]


def test_arrays_are_copied_so_that_a_reused_buffer_changes_nothing():
    array = np.zeros(2)
    kept = as_tensor(array)
    array[:] = 1
    assert kept.tolist() == [0, 0]
