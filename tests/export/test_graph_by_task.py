"""Graphs of models whose tasks have the names of attributes."""

import torch
from torch import nn

from motet.export.graph import Graph, traced
from motet.export.layout import template_of
from motet.model import MultiTaskModel
from motet.tasks import Regression


class OfNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 8)

    def forward(self, inputs):
        return self.layer(inputs["numbers"])


def test_tasks_may_have_the_names_of_methods_of_modules():
    names = ["add", "forward", "names", "training", "type", "a b"]
    model = MultiTaskModel(OfNumbers(), [Regression(each) for each in names], width=8).eval()
    given = {"numbers": torch.randn(3, 4)}
    graph = Graph(model, names, template_of(given, given))
    found = traced(graph, given).module()(given)
    expected = model(given)
    assert [*found] == names
    for name, values in found.items():
        torch.testing.assert_close(values, expected[name].double())
