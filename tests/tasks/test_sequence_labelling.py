"""Sequence labelling: losses, valid decoding, heads, and the metrics of spans."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from motet.figures import figure
from motet.problems import InputError
from motet.states import TokenStates
from motet.tasks import (
    SequenceLabelling,
    TaskMetrics,
    fit_trivial,
    score_trivial,
    trivial_metrics,
)
from motet.tasks.crf import CRF

NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]
DECODERS = ["linear", "lstm", "crf"]
SEEDS = st.integers(0, 2**32)
NAN = torch.nan


def made(**options):
    return SequenceLabelling("slots", **{"classes": NAMES, **options})


def drawn(seed, rows=4, length=5, gaps=0.2):
    """Raw outputs with NaN at padding, labels that reach no further, and which words there are."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, length + 1, (rows, 1), generator=generator)
    words = torch.arange(length) < lengths
    raw = 3 * torch.randn(rows, length, len(NAMES), generator=generator)
    target = torch.randint(0, len(NAMES), (rows, length), generator=generator)
    target[torch.rand(rows, length, generator=generator) < gaps] = -100
    return raw.masked_fill(~words.unsqueeze(2), NAN), target.where(words, -100), words


def places(rows, names=NAMES):
    longest = max(len(row.split()) for row in rows)
    return torch.tensor(
        [
            [names.index(tag) if tag != "?" else -100 for tag in row.split()]
            + [-100] * (longest - len(row.split()))
            for row in rows
        ]
    )


def scores(tags, names=NAMES):
    """Raw outputs that say these tags."""
    return (
        functional.one_hot(tags.clamp(min=0), len(names))
        .float()
        .masked_fill((tags < 0).unsqueeze(2), NAN)
    )


def measured(gold, found, names=NAMES, **options):
    task = SequenceLabelling("slots", classes=names, scheme=options.pop("scheme", None))
    task.constraints = None  # to look at what a model may not say
    metrics = TaskMetrics([task], {"slots": ["span_f1", "span_f1_conlleval", "token_accuracy"]})
    metrics.update({"slots": scores(places(found, names), names)}, {"slots": places(gold, names)})
    return metrics.compute("slots"), metrics.notes


# Losses --------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_a_linear_decoder_adds_up_cross_entropy_over_labelled_words(seed):
    raw, target, _ = drawn(seed)
    known = target != -100
    total, count = made().loss(raw, target)
    assert_close(total, functional.cross_entropy(raw[known], target[known], reduction="sum"))
    assert count == known.sum()


@given(seed=SEEDS)
def test_class_weights_weigh_words_and_are_what_is_counted(seed):
    raw, target, _ = drawn(seed)
    known, weights = target != -100, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    total, count = made(class_weights=weights.tolist()).loss(raw, target)
    expected = functional.cross_entropy(raw[known], target[known], weights, reduction="sum")
    assert_close(total, expected)
    assert_close(count, weights[target[known]].sum())


def test_balanced_weights_are_learned_from_the_words():
    task = made(classes=["x", "y"], class_weights="balanced")
    task.prepare(torch.tensor([[0, 0, 0, 1], [-100] * 4]))
    assert_close(task.weights(), torch.tensor([4 / 6, 2.0]))


@given(seed=SEEDS)
def test_a_crf_adds_up_likelihoods_of_sequences_that_have_a_label(seed):
    raw, target, words = drawn(seed, gaps=0.6)
    task = made(decoder="crf")
    for parameter in task.parameters():
        nn.init.normal_(parameter)
    total, count = task.loss(raw, target)
    rows = (target != -100).any(dim=1)
    assert count == rows.sum()
    assert_close(total, -task.crf(raw, target, words)[rows].sum())


@given(seed=SEEDS)
def test_a_crf_may_count_words_so_that_its_loss_is_as_large_as_that_of_others(seed):
    raw, target, _ = drawn(seed, gaps=0.6)
    by_row, by_word = made(decoder="crf"), made(decoder="crf", mean_over="words")
    assert_close(by_word.loss(raw, target)[0], by_row.loss(raw, target)[0])
    assert by_word.loss(raw, target)[1] == by_word.count(target) == (target != -100).sum()
    assert by_row.count(target) == (target != -100).any(dim=1).sum()
    total, count = by_word.loss(raw, target)  # all parameters are 0: independent softmaxes
    expected, labels = made().loss(raw, target)
    assert_close((total, count), (expected, labels))


@pytest.mark.parametrize("decoder", DECODERS)
@given(seed=SEEDS)
def test_longer_padding_changes_no_loss_and_no_tag(decoder, seed):
    raw, target, words = drawn(seed)
    task = made(decoder=decoder)
    longer = functional.pad(raw, (0, 0, 0, 3), value=NAN)
    assert_close(task.loss(longer, target), task.loss(raw, target))
    assert_close(task.loss(raw, functional.pad(target, (0, 2), value=-100)), task.loss(raw, target))
    found = task.decode(longer).value
    assert (found[:, raw.shape[1] :] == -100).all()
    assert_close(found[:, : raw.shape[1]], task.decode(raw).value)
    assert ((task.decode(raw).value >= 0) == words).all()


def test_labels_beyond_the_words_of_the_encoder_are_an_error():
    with pytest.raises(InputError, match="gave 2 words per row, but there are labels for more"):
        made().loss(torch.zeros(1, 2, 5), torch.tensor([[0, 0, 1]]))


@pytest.mark.parametrize("decoder", DECODERS)
def test_scores_that_are_nan_at_a_labelled_word_make_the_loss_nan(decoder):
    raw = torch.zeros(2, 3, 5)
    raw[1] = NAN
    assert made(decoder=decoder).loss(raw, torch.zeros(2, 3, dtype=torch.long))[0].isnan()


@pytest.mark.parametrize("names", [NAMES, ["x", "y", "z", "u", "v"]])
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_word_whose_scores_are_nan_between_others_is_told_from_padding(decoder, names):
    raw = torch.zeros(1, 4, 5)
    raw[0, 1] = raw[0, 3] = NAN
    task = made(decoder=decoder, classes=names)
    assert task.decode(raw).value.tolist() == [[0, -100, 0, -100]]
    loss = task.loss(raw, torch.tensor([[0, -100, 0, -100]]))[0]
    assert loss.isnan() == (decoder == "crf")  # others look at labelled words alone


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_row_without_labels_leaves_no_trace_even_if_its_scores_are_nan(decoder):
    raw = torch.randn(2, 3, 5)
    raw[1, 1] = NAN
    target = torch.tensor([[0, 1, 0], [-100] * 3])
    task = made(decoder=decoder)
    assert_close(task.loss(raw, target), task.loss(raw[:1], target[:1]))


def test_a_crf_keeps_its_likelihood_to_valid_sequences_once_all_labels_are():
    raw, valid = torch.zeros(1, 2, 5), places(["O B-a"])
    task = made(decoder="crf")
    before = task.loss(raw, valid)[0]
    assert_close(before, torch.tensor(2 * math.log(5)))
    task.prepare(places(["O B-a", "I-a O"]))
    assert_close(task.loss(raw, valid)[0], before)
    task.prepare(places(["O B-a", "B-a ?"]))
    ways = 3 + 2 * 4  # three tags may come first; B may go on
    assert_close(task.loss(raw, valid)[0], torch.tensor(math.log(ways)))
    again = made(decoder="crf")
    again.load_state_dict(task.state_dict())
    assert_close(again.loss(raw, valid), task.loss(raw, valid))


@pytest.mark.parametrize("row", ["B-a ?", "? B-a", "O B-a I-a ?"])
def test_a_span_that_words_without_label_may_close_leaves_the_constraint_of_a_crf_on(row):
    names = ["B-a", "I-a", "E-a", "S-a", "O"]
    task = made(decoder="crf", classes=names)
    labels = places([row, "O S-a"], names)
    task.prepare(labels)
    assert task.crf.constrained
    raw = torch.zeros(1, 2, 5)
    loss, _ = task.loss(raw, places(["B-a ?"], names))
    assert_close(loss, torch.tensor(math.log(5)))  # of O or S twice, and B E
    cut, _ = task.loss(raw, places(["O B-a"], names))
    assert_close(cut, torch.tensor(math.log(2 * 3 + 2)))  # after O and S O, S, B; after B I, E
    partly, _ = task.loss(raw, places(["? B-a"], names))
    assert_close(partly, torch.tensor(math.log((2 * 3 + 2) / 2)))


def test_a_wrong_move_turns_the_constraint_of_a_crf_off():
    names = ["O", "B-a", "I-a", "E-a", "S-a"]
    task = made(decoder="crf", classes=names)
    task.prepare(places(["B-a O", "O O"], names))
    assert not task.crf.constrained


# Decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("names", [NAMES, ["O", "B-a", "I-a", "E-a", "S-a"]])
@given(seed=SEEDS)
def test_decoded_tags_are_valid_whatever_the_scores(decoder, names, seed):
    raw, _, words = drawn(seed)
    task = made(decoder=decoder, classes=names)
    found = task.decode(1e6 * raw).value
    assert task.tags.valid(found.numpy(), words.sum(dim=1).numpy()).all()
    assert ((found >= 0) == words).all()


@given(seed=SEEDS)
def test_plain_tags_are_the_best_of_each_word(seed):
    raw, _, words = drawn(seed)
    found = made(classes=5).decode(raw).value
    assert_close(found[words], raw[words].argmax(dim=-1))


# Heads ---------------------------------------------------------------------------------------


def tokens(seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    padding = torch.arange(4) >= torch.tensor([[4], [2], [0]])
    states = torch.randn(3, 4, width, generator=generator)
    return TokenStates(states, padding, states.mean(dim=1))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("width", [5, 6])
def test_a_head_gives_scores_per_word_and_nan_at_padding_which_does_not_leak(decoder, width):
    given, head = tokens(width=width), made(decoder=decoder).make_head(width)
    raw = head(given)
    assert raw.shape == (3, 4, 5)
    assert (raw.isnan().all(dim=-1) == given.padding).all()
    other = given._replace(states=given.states + 7 * given.padding.unsqueeze(2))
    assert_close(head(other), raw, equal_nan=True)
    shorter = TokenStates(given.states[1:2, :2], given.padding[1:2, :2], given.pooled[1:2])
    assert_close(head(shorter), raw[1:2, :2])


def test_words_after_padding_are_refused():
    given = tokens()
    with pytest.raises(InputError, match="a word after padding in row 1"):
        made().make_head(6)(given._replace(padding=given.padding.roll(1, dims=1)))


def test_an_lstm_looks_at_words_on_both_sides():
    given, head = tokens(), made(decoder="lstm").make_head(6)
    given.states.requires_grad_()
    middle = head(given)[0, 1].sum()
    reach = torch.autograd.grad(middle, given.states)[0]
    assert (reach[0] != 0).any(dim=-1).all()
    assert (reach[1:] == 0).all()


def test_the_head_option_gives_dense_gelu_dropout_output():
    task = made(head={"type": "mlp", "hidden": [8], "activation": "gelu", "dropout": 0.1})
    layers = [type(layer) for layer in task.make_head(6).head.layers]
    assert layers == [nn.Linear, nn.GELU, nn.Dropout, nn.Linear]


def test_a_head_of_your_own_sees_the_states_of_all_words():
    raw = made(head=nn.Linear(6, 5)).make_head(6)(tokens())
    assert raw.shape == (3, 4, 5)
    with pytest.raises(InputError, match="expected 5 outputs"):
        made(head=nn.Linear(6, 4)).make_head(6)(tokens())


# Options and checks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: made(decoder="crf", class_weights="balanced"), "class_weights: applies only with"),
        (lambda: made(mean_over="words"), "mean_over: applies only with"),
        (lambda: made(decoder="viterbi"), "decoder: found 'viterbi'"),
        (lambda: made(scheme="bioes", classes=["O", "NOUN"]), "there is the tag 'NOUN'"),
        (lambda: made(scheme="bio", classes=3), "give the names"),
        (lambda: made(classes=["O", "O"]), "'O' twice"),
        (lambda: made(classes=None).make_head(4), "the number of classes is not known"),
        (lambda: made().check(torch.tensor([[5]])), "label 5, expected the place of a tag"),
        (lambda: made().check(torch.tensor([0, 1])), r"expected \(B, L\), one tag per word"),
        (lambda: made(metrics=["accuracy"]) and TaskMetrics([made(metrics=["accuracy"])]), "suit"),
    ],
)
def test_what_is_wrong_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_the_first_metric_is_that_of_spans_where_there_are_any():
    assert made().metrics == ("span_f1", "token_accuracy")
    assert made(classes=["NOUN", "VERB"]).metrics == ("token_accuracy",)
    assert made(scheme="plain").metrics == ("token_accuracy",)


def test_a_crf_is_the_tasks_own_and_is_told_as_such():
    task = made(decoder="crf")
    assert isinstance(task.crf, CRF)
    assert {name for name, _ in task.named_parameters()} == {
        "crf.transitions",
        "crf.start",
        "crf.end",
    }
    assert made().loss_name == "cross_entropy"
    assert task.loss_name == "crf"
    assert task.uncertainty_kind == "classification"


# Metrics -------------------------------------------------------------------------------------

ONE = ["B", "I", "O"]


@pytest.mark.parametrize(
    ("names", "gold", "found", "strict", "loose"),
    [
        (ONE, "O B I", "O I I", 0, 1),
        (ONE, "B I O B", "B O O B", 0.5, 0.5),
        (NAMES, "B-a O", "B-a I-b", 1, 2 / 3),
        (["B", "I", "O", "E", "S"], "B E", "B I", 0, 1),
        (NAMES, "B-a I-a", "B-b I-b", 0, 0),
        (NAMES, "B-a I-a O", "B-a O O", 0, 0),
        (NAMES, "O O", "B-a O", 0, 0),
    ],
)
def test_span_f1_is_strict_and_conlleval_is_told_where_it_differs(
    names, gold, found, strict, loose
):
    values, notes = measured([gold], [found], names)
    assert values["span_f1"] == pytest.approx(strict)
    assert values["span_f1_conlleval"] == pytest.approx(loose)
    told = notes.get("slots.span_f1", "")
    assert (figure(loose) in told) == (strict != loose)


def test_spans_are_counted_over_the_whole_split_and_belong_to_their_sentence():
    values, _ = measured(["B-a O", "O B-a"], ["O B-a", "O B-a"])
    assert values["span_f1"] == pytest.approx(0.5)


def test_words_without_a_label_are_not_judged():
    values, _ = measured(["B-a I-a ? O"], ["B-a I-a I-a O"])
    assert (values["span_f1"], values["token_accuracy"]) == (1, 1)
    values, _ = measured(["O ? ?"], ["O B-a I-a"])
    assert math.isnan(values["span_f1"])
    assert values["token_accuracy"] == 1


def test_without_spans_there_is_no_span_f1_and_the_reason_is_told():
    values, notes = measured(["O O"], ["O O"])
    assert math.isnan(values["span_f1"])
    assert notes["slots.span_f1"] == "there are neither labelled nor predicted spans"
    values, notes = measured(["x y"], ["x y"], ["x", "y"])
    assert math.isnan(values["span_f1"])
    assert "plain" in notes["slots.span_f1"]
    assert values["token_accuracy"] == 1


@pytest.mark.parametrize("decoder", DECODERS)
@given(seed=SEEDS, cut=st.integers(0, 6), known=st.booleans())
def test_batches_of_any_length_give_the_metrics_of_the_whole(decoder, seed, cut, known):
    raw, target, words = drawn(seed, rows=6)
    task = made(decoder=decoder)
    whole, parts = TaskMetrics([task]), TaskMetrics([task])
    whole.update({"slots": raw}, {"slots": target})
    for rows in (slice(0, cut), slice(cut, 6)):
        longest = int(words[rows].sum(dim=1).max()) if len(words[rows]) else 1
        part, labels = raw[rows, :longest], target[rows, :longest]
        losses = {"slots": task.loss(part, labels)} if known else None
        parts.update({"slots": part}, {"slots": target[rows] if cut % 2 else labels}, losses)
    assert parts.compute("slots") == pytest.approx(whole.compute("slots"), nan_ok=True)


def test_a_model_that_gives_nan_is_told_from_padding():
    task = made()
    metrics = TaskMetrics([task])
    metrics.update({"slots": torch.full((1, 2, 5), NAN)}, {"slots": places(["O B-a"])})
    assert math.isnan(metrics.compute("slots")["span_f1"])
    assert metrics.notes["slots.span_f1"] == "a prediction is NaN"


def test_metrics_of_your_own_get_tags_and_minus_100():
    def rows(predictions, targets):
        assert predictions.shape == targets.shape == (1, 2)
        return (targets == -100).sum()

    metrics = TaskMetrics([made()], {"slots": [rows]})
    metrics.update({"slots": torch.zeros(1, 2, 5)}, {"slots": torch.tensor([[0, -100]])})
    assert metrics.compute("slots")["rows"] == 1


def test_the_trivial_predictor_says_o_for_spans_and_the_most_frequent_tag_for_words():
    task = made()
    train = places(["B-a B-a B-a", "O ? ?"])
    test = places(["B-a O", "B-a B-a"])
    trivial = fit_trivial([task], {"slots": train})
    assert trivial["slots"]["span_f1"].value.tolist() == [[0]]
    assert trivial["slots"]["token_accuracy"].value.tolist() == [[1]]
    found = score_trivial([task], trivial, {"slots": test})
    assert found == {"slots": {"span_f1": 0.0, "token_accuracy": 0.75}}
    plain = made(classes=["x", "y"])
    assert trivial_metrics([plain], {"slots": torch.tensor([[1, 1, 0]])}, {"slots": test * 0}) == {
        "slots": {"token_accuracy": 0.0}
    }
