"""One prediction out of those of several models."""

import torch

from motet.tasks import MultiLabel
from motet.tasks.combining import combined
from motet.tasks.prediction import Prediction


def test_numbers_are_averaged():
    members = [Prediction(torch.tensor([[1.0, 4.0]])), Prediction(torch.tensor([[3.0, 5.0]]))]
    assert combined(members).value.tolist() == [[2.0, 4.5]]


def test_the_most_probable_class_on_average_is_predicted():
    one = Prediction(torch.tensor([0, 1]), torch.tensor([[0.6, 0.4], [0.3, 0.7]]))
    other = Prediction(torch.tensor([1, 0]), torch.tensor([[0.1, 0.9], [0.55, 0.45]]))
    found = combined([one, other])
    assert found.value.tolist() == [1, 1]
    torch.testing.assert_close(found.probabilities, torch.tensor([[0.35, 0.65], [0.425, 0.575]]))


def test_of_sequences_the_one_that_agrees_most_is_predicted():
    tags = torch.tensor([[[1, 2, 0]], [[1, 2, 3]], [[0, 2, 3]]])
    assert combined([Prediction(each) for each in tags]).value.tolist() == [[1, 2, 3]]


def test_labels_are_decided_by_the_mean_and_the_threshold_of_the_task():
    task = MultiLabel("tags", classes=2, threshold=0.3)
    one = Prediction(torch.tensor([[1, 0]]), torch.tensor([[0.9, 0.2]]))
    other = Prediction(torch.tensor([[0, 1]]), torch.tensor([[0.0, 0.3]]))
    found = task.combine([one, other])
    assert found.value.tolist() == [[1, 0]]
