"""What users rely on of every fusion that weighs modalities, and of those made of others."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.encoders import LSTM, fusion
from motet.encoders.fusion import Attention, CrossAttention, Gating, Hierarchical
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.states import TokenStates
from motet.tasks import Regression, SequenceLabelling

NAMES, WIDTHS = ("a", "b", "c", "d"), (2, 3, 4, 3)
GROUPS = {"one": ["a", "b"], "two": ["c"]}
WEIGHING = {
    "attention": {"type": "attention", "width": 8, "heads": 2},
    "gating": {"type": "gating", "width": 8},
    "hierarchical": {"type": "hierarchical", "groups": GROUPS, "width": 8},
    "of gates": {
        "type": "hierarchical",
        "groups": GROUPS,
        "within": "gating",
        "across": {"type": "gating", "width": 6},
    },
    "cross_attention": {"type": "cross_attention", "heads": 1, "width": 8},
}


def made(chosen, names=NAMES, widths=WIDTHS):
    torch.manual_seed(0)
    return fusion.create(chosen, widths, names, ["a", "b"]).double().eval()


def rows(count=6):
    torch.manual_seed(1)
    features = [torch.randn(count, width, dtype=torch.double) for width in WIDTHS]
    present = torch.rand(count, len(WIDTHS)) < 0.6
    present[0], present[1] = True, False
    present[2:, 0] = True
    return features, present


@pytest.mark.parametrize("chosen", WEIGHING.values(), ids=WEIGHING)
def test_weights_sum_to_one_over_what_is_present_and_are_zero_elsewhere(chosen):
    weighing, (features, present) = made(chosen), rows()
    joined = weighing(features, present)
    assert joined.shape == (6, weighing.width)
    assert weighing.weights.shape == (6, 4)
    assert not weighing.weights.requires_grad
    assert (weighing.weights[~present] == 0).all()
    assert (weighing.weights[present] > 0).all()
    assert_close(weighing.weights.sum(1), present.any(1).double())
    weighing(features, None)
    assert_close(weighing.weights.sum(1), torch.ones(6).double())


@pytest.mark.parametrize("chosen", WEIGHING.values(), ids=WEIGHING)
def test_what_is_missing_has_no_effect_and_gets_no_gradient(chosen):
    weighing, (features, present) = made(chosen), rows()
    before = weighing(features, present)
    for place, each in enumerate(features):
        each[~present[:, place]] = 1e6
        each.requires_grad_()
    after = weighing(features, present)
    assert_close(after[2:], before[2:])  # in row 1 all are missing
    after[2:].sum().backward()
    for place, each in enumerate(features):
        assert (each.grad[~present[:, place]] == 0).all()
        assert torch.isfinite(each.grad).all()


@pytest.mark.parametrize("chosen", WEIGHING.values(), ids=WEIGHING)
def test_the_order_of_modalities_does_not_matter(chosen):
    order = [2, 0, 3, 1]
    one = made(chosen)
    other = made(chosen, [NAMES[k] for k in order], [WIDTHS[k] for k in order])
    other.load_state_dict(reordered(one.state_dict(), chosen["type"], order))
    features, present = rows()
    expected = one(features, present)
    assert_close(other([features[k] for k in order], present[:, order]), expected)
    assert_close(other.weights, one.weights[:, order])


def reordered(state, kind, order):
    """Rename the parameters of each modality as those of its new place."""
    if kind == "hierarchical":  # groups are named, and d is a group of its own in any order
        return state
    found = {}
    for name, value in state.items():
        head, there, rest = name.partition("projections.")
        if there:
            what, place, leaf = rest.split(".")
            name = f"{head}{there}{what}.{order.index(int(place))}.{leaf}"
        found[name] = value
    return found | {name: state[name] for name in state if name.startswith("readers")}


@torch.no_grad()
def test_attention_is_that_of_a_naive_computation():
    weighing, (features, present) = made(WEIGHING["attention"]), rows()
    joined = weighing(features, present)
    projected = [
        norm(layer(each))
        for each, layer, norm in zip(
            features, weighing.projections.layers, weighing.projections.norms, strict=True
        )
    ]
    for row in (0, 2, 3, 4, 5):
        there = [k for k in range(4) if present[row, k]]
        heads = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            scores = [
                math.exp(weighing.key(projected[k][row])[part] @ weighing.query[head] / 2)
                for k in there
            ]
            values = [weighing.value(projected[k][row])[part] for k in there]
            heads.append(sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores))
        assert_close(joined[row], weighing.output(torch.cat(heads)))


@torch.no_grad()
def test_gates_are_those_of_a_naive_computation():
    for gates in ("softmax", "sigmoid"):
        weighing, (features, present) = made({**WEIGHING["gating"], "gates": gates}), rows()
        joined = weighing(features, present)
        for row in (0, 2, 3):
            there = [k for k in range(4) if present[row, k]]
            each = {
                k: weighing.projections.norms[k](
                    weighing.projections.layers[k](features[k][row])
                ).tanh()
                for k in there
            }
            mean = sum(each.values()) / len(there)
            scores = {
                k: weighing.score((weighing.own(each[k]) + weighing.others(mean)).tanh())
                for k in there
            }
            total = sum(math.exp(s) for s in scores.values())
            gate = {
                k: math.exp(s) / total if gates == "softmax" else s.sigmoid()
                for k, s in scores.items()
            }
            assert_close(joined[row], sum(gate[k] * each[k] for k in there))


def test_groups_are_fused_first_and_a_group_that_lacks_all_is_missing():
    whole, (features, _) = made(WEIGHING["hierarchical"]), rows()
    present = torch.tensor([[False, False, True, True]]).expand(6, -1)
    joined = whole(features, present)
    assert whole.groups == {"one": ("a", "b"), "two": ("c",), "d": ("d",)}
    assert (whole.across.weights[:, 0] == 0).all()
    two, alone = whole.within[1]([features[2]], None), whole.within[2]([features[3]], None)
    zeros = torch.zeros(6, 8, dtype=torch.double)
    there = torch.tensor([False, True, True]).expand(6, -1)
    assert_close(joined, whole.across([zeros, two, alone], there))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"groups": {"x": ["a", "z"]}}, "group 'x' has 'z'"),
        ({"groups": {"x": []}}, "group 'x' has no modality"),
        ({"groups": {"x": ["a"], "y": ["a"]}}, "'a' is in 'x' and 'y'; expected one group"),
        ({"groups": {"x": ["a", "a"]}}, "'a' is twice in 'x'; expected one group"),
        ({"groups": {"b": ["a"]}}, "group 'b' has the name of an input that is in no group"),
        (
            {"groups": GROUPS, "within": {"type": "gating", "modality_dropout": 0.1}},
            "within: found modality_dropout: 0.1 inside",
        ),
        ({"groups": GROUPS, "across": "hierarchical"}, "'hierarchical' does not fit here"),
        ({}, "groups: missing"),
    ],
)
def test_groups_that_do_not_fit_are_refused(chosen, message):
    with pytest.raises(InputError, match=message):
        made({"type": "hierarchical", **chosen})


def test_heads_must_divide_the_width_and_a_width_left_out_fits():
    assert Attention([3, 5], heads=4).width == 8
    assert Gating([3, 5]).width == 5
    with pytest.raises(InputError, match="heads: found 3, expected a number that divides width: 8"):
        Attention([3, 5], width=8, heads=3)
    within = Hierarchical([3, 5, 2], [*"abc"], groups={"g": ["a", "b"]}, within="concat")
    assert within.within[0].width == within.across.width == 8


def sequences():
    torch.manual_seed(2)
    padding = {
        "a": torch.tensor([[False] * 3, [False, False, True], [False, True, True]]),
        "b": torch.tensor([[False] * 2, [True] * 2, [False, True]]),
    }
    states = {"a": torch.randn(3, 3, 4), "b": torch.randn(3, 2, 6)}
    return {
        name: TokenStates(each, padding[name], each.masked_fill(padding[name][..., None], 0).sum(1))
        for name, each in states.items()
    }


def test_tokens_read_other_sequences_but_neither_padding_nor_missing_ones():
    torch.manual_seed(0)
    chosen = {"attends": {"a": ["b"]}, "heads": 2}
    reading = CrossAttention([4, 6, 2], ["a", "b", "x"], ["a", "b"], **chosen).eval()
    given = sequences()
    present = {"a": None, "b": torch.tensor([True, True, False]), "x": None}
    found = reading.exchange(given, present)
    assert found["b"] is given["b"]
    assert_close(found["a"].states[1:], given["a"].states[1:])  # nothing there, and missing
    assert (found["a"].states[0] != given["a"].states[0]).all()
    naive = nn.MultiheadAttention(4, 2, kdim=6, vdim=6, batch_first=True)
    reader = reading.readers[0][0]
    naive.load_state_dict(reader.attention.state_dict())
    query = reader.norm(given["a"].states[2:])
    only = given["b"].states[2:, :1]
    alone = reading.exchange(given, dict.fromkeys(present))["a"]
    assert_close(alone.states[2:], given["a"].states[2:] + naive(query, only, only)[0])
    change = (alone.states - given["a"].states)[2, 0]  # of the only token
    assert_close(alone.pooled[2], given["a"].pooled[2] + change)


def test_states_that_are_read_are_those_before_the_exchange():
    torch.manual_seed(0)
    both = CrossAttention([4, 6], ["a", "b"], ["a", "b"], heads=2).eval()
    assert both.attends == {"a": ("b",), "b": ("a",)}
    given, none = sequences(), {"a": None, "b": None}
    found = both.exchange(given, none)
    swapped = both.exchange(dict(reversed(given.items())), none)
    for name in "ab":
        assert_close(found[name], swapped[name])


@pytest.mark.parametrize(
    ("names", "chosen", "message"),
    [
        (["a"], {}, "found a with a state per token; expected two"),
        (["a", "b"], {"attends": {"a": ["x"]}}, "found 'x', which is an input without states per"),
        (["a", "b"], {"attends": {"z": ["a"]}}, "found 'z', which is no input"),
        (["a", "b"], {"attends": {"a": ["a"]}}, "'a' attends to itself; expected other .* b"),
        (["a", "b"], {"attends": {"a": []}}, "'a' attends to nothing"),
        (["a", "b"], {"heads": 3}, "heads: found 3, expected .* the width of 'a': 4; nearest: 2"),
    ],
)
def test_sequences_that_do_not_fit_are_refused(names, chosen, message):
    with pytest.raises(InputError, match=message):
        CrossAttention([4, 6, 2], ["a", "b", "x"], names, **chosen)


class Frames(nn.Module):
    """States of frames (B, L, 2) without padding."""

    width, gives = 6, "tokens"

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 6)

    def forward(self, frames):
        states = self.layer(frames)
        return TokenStates(states, torch.zeros(frames.shape[:2], dtype=torch.bool), states.mean(1))


def test_words_of_a_text_are_labelled_with_what_they_read_of_another_sequence():
    torch.manual_seed(0)
    slots = SequenceLabelling("slots", classes=["O", "x"], input="text")
    encoders = {"text": LSTM(10, width=4), "frames": Frames()}
    chosen = {"type": "cross_attention", "attends": {"text": ["frames"]}, "heads": 2, "width": 8}
    encoders["frames"].gives = "tokens"
    with pytest.raises(InputError, match="reads tokens, and several encoders give them"):
        MultiTaskModel(encoders=encoders, fusion=chosen, tasks=[SequenceLabelling("s", classes=2)])
    model = MultiTaskModel(encoders=encoders, fusion=chosen, tasks=[slots, Regression("y")]).eval()
    inputs = {"text": torch.tensor([[5, 6, 7], [8, 0, 0]]), "frames": torch.randn(2, 4, 2)}
    found = model.states(inputs)["slots"]
    assert found.states.shape == (2, 3, 8)
    other = model.states({**inputs, "frames": inputs["frames"] + 1})["slots"]
    assert (found.states[0] != other.states[0]).any(1).all()
