"""The transformer of tables, beside the same layers written out."""

import math

import pytest
import torch
from torch.nn.functional import layer_norm
from torch.testing import assert_close

from motet import MultiTaskModel, encoders
from motet.encoders.tabular_transformer import TabularTransformer
from motet.problems import InputError
from motet.tasks import Regression
from motet.training.parameter_groups import parameter_groups

ROWS = {
    "numbers": torch.tensor([[0.5, -1.0], [2.0, 3.0]]).double(),
    "categories": torch.tensor([[1, 0], [3, 2]]),
    "sets": {"tags": torch.tensor([[3, 4, 0], [3, 0, 0]])},
}


def made(**options):
    torch.manual_seed(0)
    given = {"width": 8, "heads": 2, "layers": 2, "attention_dropout": 0.0, "dropout": 0.0}
    return TabularTransformer(2, [4, 3], sets={"tags": (6, "mean")}, **given | options).double()


def naive(encoder, rows, heads=2):
    """One row at a time, attention head by head; pool: token."""
    tokens, *layers, last = encoder.stages
    found = []
    for numbers, categories, tags in zip(
        rows["numbers"], rows["categories"], rows["sets"]["tags"], strict=True
    ):
        linear = tokens.numbers.linear
        columns = [tokens.row]
        columns += [
            x * w[0] + b for x, w, b in zip(numbers, linear.weight, linear.bias, strict=True)
        ]
        columns += [
            table.weight[index] + bias
            for table, index, bias in zip(
                tokens.embeddings, categories, tokens.biases, strict=False
            )
        ]
        members = [tokens.sets[0].weight[tag] for tag in tags if tag > 0]
        columns.append(sum(members) / len(members) + tokens.biases[-1])
        state = torch.stack(columns)
        width = state.shape[1]
        for place, layer in enumerate(layers):
            given = state
            if place:
                norm = layer.attention_norm
                given = layer_norm(state, (width,), norm.weight, norm.bias)
            attention = layer.attention
            q, k, v = (given @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=1)
            each = width // heads
            mixed = []
            for head in range(heads):
                own = slice(head * each, (head + 1) * each)
                scores = (q[:, own] @ k[:, own].T / math.sqrt(each)).softmax(dim=1)
                mixed.append(scores @ v[:, own])
            out = attention.out_proj
            state = state + torch.cat(mixed, dim=1) @ out.weight.T + out.bias
            norm = layer.feedforward_norm
            given = layer_norm(state, (width,), norm.weight, norm.bias)
            values, gates = (given @ layer.to_gates.weight.T + layer.to_gates.bias).chunk(2, dim=1)
            inner = values * gates.clamp(min=0)
            state = state + inner @ layer.from_gates.weight.T + layer.from_gates.bias
        norm = last.norm
        found.append(layer_norm(state[0], (width,), norm.weight, norm.bias).clamp(min=0))
    return torch.stack(found)


def test_it_computes_what_the_paper_says():
    encoder = made()
    assert_close(encoder(ROWS), naive(encoder, ROWS))
    assert encoder(ROWS).shape == (2, encoder.width) == (2, 8)


def test_the_order_of_columns_does_not_matter_with_their_weights():
    encoder = made(pool="mean")
    before = encoder(ROWS)
    tokens = encoder.stages[0]
    with torch.no_grad():
        for parameter in tokens.numbers.linear.parameters():
            parameter.copy_(parameter.flip(0))
    swapped = {**ROWS, "numbers": ROWS["numbers"].flip(1)}
    assert_close(encoder(swapped), before)


def test_a_row_has_the_same_features_in_every_batch():
    encoder = made().eval()
    longer = {"tags": torch.tensor([[3, 0, 0, 0, 0]])}
    one = {**{name: ROWS[name][1:] for name in ("numbers", "categories")}, "sets": longer}
    assert_close(encoder(one), encoder(ROWS)[1:])


def test_an_empty_set_and_an_unknown_value_say_nothing_at_first():
    encoder = made()
    rows = {**ROWS, "sets": {"tags": torch.tensor([[0], [2]])}}
    tokens = encoder.stages[0](rows)
    assert_close(tokens[0, -1], tokens[1, -1])
    assert (encoder.stages[0].embeddings[0].weight[0] == 0).all()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_dropout_acts_in_training_alone(place):
    name = ("attention_dropout", "dropout", "residual_dropout")[place]
    encoder = made(**{name: 0.5})
    assert not torch.equal(encoder(ROWS), encoder(ROWS))
    encoder.eval()
    assert torch.equal(encoder(ROWS), encoder(ROWS))


@pytest.mark.parametrize(
    "sharing",
    [
        {"type": "hard", "shared_layers": 2},
        {"type": "cross_stitch"},
        {"type": "mmoe", "experts": 2},
        {"type": "attention"},
    ],
)
def test_sharing_schemes_can_split_it_after_any_layer(sharing):
    from motet.sharing import create

    options = dict(sharing)
    model = MultiTaskModel(
        encoder=TabularTransformer(2, width=8, heads=2, layers=2),
        tasks=[Regression("a"), Regression("b")],
        sharing=create(options.pop("type"), **options),
    )
    raw = model(ROWS["numbers"].float())
    assert set(raw) == {"a", "b"}
    assert all(len(each) == 2 for each in raw.values())


def test_a_config_without_data_makes_the_same_model():
    config = {
        "inputs": {"age": "number", "job": {"type": "category", "size": 3}},
        "tasks": {"a": {"type": "regression"}},
        "model": {"encoder": {"type": "tabular_transformer", "width": 8, "heads": 2, "layers": 1}},
    }
    model = MultiTaskModel.from_config(config)
    torch.manual_seed(0)
    expected = TabularTransformer(1, [5], width=8, heads=2, layers=1)
    for found, each in zip(model.parameters(), expected.parameters(), strict=False):
        assert torch.equal(found, each)
    rows = {"numbers": torch.tensor([[40.0]]), "categories": torch.tensor([[2]])}
    assert model(rows)["a"].shape[0] == 1


def test_what_makes_tokens_does_not_decay():
    model = MultiTaskModel(made(layers=1, number_embedding="periodic"), [Regression("a")])
    groups = parameter_groups(model, torch.nn.Module())
    steady = {id(each) for group in groups if "weight_decay" in group for each in group["params"]}
    found = {name for name, each in model.named_parameters() if id(each) not in steady}
    assert {name.removeprefix("sharing.stages.0.stages.") for name in found} == {
        "1.attention.in_proj_weight",
        "1.attention.out_proj.weight",
        "1.to_gates.weight",
        "1.from_gates.weight",
        "heads.a.head.layers.0.weight",
    }


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError, match="divides width: 10; nearest: 2"):
        encoders.create("tabular_transformer", 2, width=10, heads=3)
