"""Generation: losses of tokens, texts found as their scores say, metrics of whole texts."""

import itertools
import math

import pytest
import torch
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.states import MISSING, TokenStates
from motet.tasks import Classification, Generation, TaskMetrics, fit_trivial
from motet.tasks.decoders import GRUDecoder, Search, TransformerDecoder
from motet.tasks.decoders.base import Past
from motet.tasks.token_texts import expected, given
from motet.training import Trainer

DECODERS = {"gru": GRUDecoder, "transformer": TransformerDecoder}
V = 7
TEXTS = torch.tensor([[4, 5, 0, -100], [6, -100, -100, -100], [-100] * 4, [0, -100, -100, -100]])


def rows(count=6, seed=0):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


class Tokens(nn.Module):
    """Gives a state per token, of texts of different lengths."""

    gives, width = "tokens", 8

    def __init__(self):
        super().__init__()
        self.vectors = nn.Embedding(V, 8)

    def forward(self, ids):
        padding = ids == 0
        states = self.vectors(ids)
        real = (~padding).unsqueeze(2)
        return TokenStates(states, padding, (states * real).sum(1) / real.sum(1).clamp(min=1))


def model_of(encoder=None, scheme="hard", **options):
    torch.manual_seed(0)
    options = {"vocabulary_size": V, "max_length": 4, "width": 8, "heads": 2, **options}
    task = Generation("text", **options)
    built = sharing.create(scheme, **({"expert_width": 5} if scheme == "mmoe" else {}))
    return MultiTaskModel(encoder or nn.Linear(3, 8), [task], sharing=built).eval()


def decoder_of(name, **options):
    torch.manual_seed(1)
    sizes = {"width": 8, "layers": 2, "heads": 2, "dropout": 0.3, **options}
    made = DECODERS[name](V, 5, **sizes).eval().double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.7)
    return made


def memory(lengths=(4, 2, 0), width=5):
    states = torch.randn(len(lengths), 4, width, dtype=torch.double)
    padding = torch.arange(4)[None] >= torch.tensor(lengths)[:, None]
    return TokenStates(states, padding, states.mean(1))


# Labels and losses -------------------------------------------------------------------------------


def test_a_text_ends_at_its_end_at_missing_tokens_or_at_the_last_column():
    assert expected(TEXTS, 9).tolist() == [
        [4, 5, 0, -100, -100],
        [6, 0, -100, -100, -100],
        [-100] * 5,
        [0, -100, -100, -100, -100],
    ]
    assert expected(torch.tensor([[4, 5], [4, 0]]), 9).tolist() == [[4, 5, 0], [4, 0, -100]]
    assert expected(torch.tensor([[4.0, torch.nan]]), 9).tolist() == [[4, 0, -100]]


def test_a_text_that_is_too_long_is_never_learned_to_end_where_it_is_cut():
    found = expected(torch.tensor([[2, 3, 4, 5], [2, 3, 0, -100]]), 2)
    assert found.tolist() == [[2, 3, 4], [2, 3, 0]]
    assert given(found).tolist() == [[0, 2, 3], [0, 2, 3]]


def test_the_loss_is_that_of_tokens_and_ends_alone():
    task = Generation("text", vocabulary_size=V, max_length=4)
    raw = torch.randn(4, 5, V, dtype=torch.double, requires_grad=True)
    total, count = task.loss(raw, TEXTS)
    logs = raw.log_softmax(2)
    naive = -(logs[0, 0, 4] + logs[0, 1, 5] + logs[0, 2, 0] + logs[1, 0, 6] + logs[1, 1, 0])
    naive -= logs[3, 0, 0]
    assert_close(total, naive)
    assert count == task.count(TEXTS) == 6
    total.backward()
    assert not raw.grad[2].any()
    assert not raw.grad[0, 3:].any()


def test_labels_that_are_missing_change_nothing_even_where_scores_are_nan():
    task = Generation("text", vocabulary_size=V, max_length=4)
    raw = torch.randn(4, 5, V)
    whole, _ = task.loss(raw, TEXTS)
    raw[2], raw[0, 3:] = torch.nan, torch.nan
    raw.requires_grad_()
    total, _ = task.loss(raw, TEXTS)
    assert_close(total, whole)
    total.backward()
    assert raw.grad.isfinite().all()
    none = torch.full((4, 4), MISSING)
    assert [each.item() for each in task.loss(raw, none)] == [0, 0]


@pytest.mark.parametrize("decoder", DECODERS)
def test_micro_batches_add_up_to_the_batch(decoder):
    model = model_of(Tokens(), decoder=decoder)
    inputs = torch.tensor([[2, 3, 4], [5, 6, 0], [2, 0, 0], [3, 3, 0]])
    (whole, count), *parts = (
        model.loss_terms(model(inputs[cut], targets={"text": TEXTS[cut]}), {"text": TEXTS[cut]})[
            "text"
        ]
        for cut in (slice(None), slice(1), slice(1, 3), slice(3, 4))
    )
    assert_close(sum(total for total, _ in parts), whole)
    assert sum(number for _, number in parts) == count


# Decoders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECODERS)
def test_token_by_token_equals_a_whole_text_at_once(name):
    decoder, states = decoder_of(name), memory()
    tokens = torch.randint(0, V, (3, 6))
    whole, after = decoder(tokens, decoder.start(states))
    past, steps = decoder.start(states), []
    for place in range(6):
        state, past = decoder(tokens[:, place : place + 1], past)
        steps.append(state)
    assert_close(torch.cat(steps, dim=1), whole)
    assert_close(past.tokens, after.tokens)
    first, past = decoder(tokens[:, :4], decoder.start(states))
    rest, _ = decoder(tokens[:, 4:], past)
    assert_close(torch.cat([first, rest], dim=1), whole)


@pytest.mark.parametrize("name", DECODERS)
def test_a_state_depends_on_the_tokens_up_to_its_own(name):
    decoder, states = decoder_of(name), memory()
    tokens = torch.randint(0, V, (3, 6))
    changed = tokens.clone()
    changed[:, 4:] = (tokens[:, 4:] + 1) % V
    one, other = (decoder(each, decoder.start(states))[0] for each in (tokens, changed))
    assert_close(one[:, :4], other[:, :4])
    assert not torch.allclose(one[:, 4:], other[:, 4:])


@pytest.mark.parametrize("name", DECODERS)
def test_padding_of_the_encoder_changes_nothing_and_states_do(name):
    decoder, states = decoder_of(name), memory()
    tokens = torch.randint(0, V, (3, 3))
    cut = TokenStates(states.states[1:2, :2], states.padding[1:2, :2], states.pooled[1:2])
    whole = decoder(tokens, decoder.start(states))[0]
    assert_close(decoder(tokens[1:2], decoder.start(cut))[0], whole[1:2])
    moved = states._replace(states=states.states + torch.eye(5, dtype=torch.double)[:1])
    assert not torch.allclose(decoder(tokens, decoder.start(moved))[0], whole)
    assert whole.isfinite().all()  # of a text without any token too


# Search ------------------------------------------------------------------------------------------


def by_table(table):
    """Give the next token's probabilities by the tokens before it, for one row or several alike."""

    def step(tokens, past):
        (texts,) = past.tokens
        texts = torch.cat([texts, tokens[:, None]], dim=1)
        found = torch.stack(
            [torch.tensor(table.get(tuple(t[1:]), [0.25] * 4)) for t in texts.tolist()]
        )
        return found.log(), Past((), (texts,))

    return step


def found_by(search, step, count=1):
    start = Past((), (torch.empty(count, 0, dtype=torch.long),))
    return search(step, start, count, torch.device("cpu")).tolist()


def test_greedy_finds_30_and_two_beams_find_36():
    step = by_table({(): [0.0, 0.0, 0.6, 0.4], (2,): [0.0, 0.0, 0.5, 0.5], (3,): [0, 0, 0.1, 0.9]})
    assert found_by(Search(2), step)[0][0] == 2
    assert found_by(Search(2, beams=2), step) == [[3, 3]]
    assert found_by(Search(2, beams=2), step, count=3) == [[3, 3]] * 3


def test_length_penalties_are_those_of_the_reference():
    logs, lengths = torch.tensor([-1.2, -1.5]), torch.tensor([2.0, 3.0])
    scores = {
        form: (logs / Search(9, 2, alpha, form).penalty(lengths)).tolist()
        for form, alpha in (("plain", 1.0), ("gnmt", 0.6))
    }
    assert scores["plain"] == pytest.approx([-0.6, -0.5])
    assert scores["gnmt"] == pytest.approx([-1.094, -1.262], abs=5e-4)
    assert (logs / Search(9, 2, 0.0).penalty(lengths)).tolist() == pytest.approx([-1.2, -1.5])


def test_a_short_text_wins_without_penalty_and_the_longer_one_with_it():
    ends = {(2, 2): [1.0, 0, 0, 0]}
    short, long = math.exp(-1.2), math.exp(-1.5)
    table = {(): [0.0, 0, long, short], (3,): [1.0, 0, 0, 0], (2,): [0.0, 0, 1.0, 0], **ends}
    step = by_table(table)
    assert found_by(Search(3, 2, 0.0), step)[0][:1] == [3]
    assert found_by(Search(3, 2, 1.0), step)[0][:2] == [2, 2]
    assert found_by(Search(3, 2, 0.6, "gnmt"), step)[0][:1] == [3]


def every_text(tokens, length):
    for size in range(length + 1):
        for text in itertools.product(tokens, repeat=size):
            yield (*text, 0) if size < length else text


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(("alpha", "form"), [(0.0, "plain"), (1.0, "plain"), (0.6, "gnmt")])
def test_as_many_beams_as_texts_find_the_best_of_all(name, alpha, form):
    length, count = 3, 40
    model = model_of(
        decoder=name,
        vocabulary_size=4,
        max_length=length,
        beams=count,
        length_penalty=alpha,
        length_form=form,
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    inputs = rows(5).double()
    head, found = model.heads["text"], model(inputs)["text"]
    best = []
    for row in model.states(inputs)["text"]:
        scores = {}
        for text in every_text((2, 3), length):
            raw = head(row[None], target=torch.tensor([text]))[0].log_softmax(1)
            log = sum(raw[place, token].item() for place, token in enumerate(text))
            size = (5 + len(text)) / 6 if form == "gnmt" else len(text)
            scores[text] = log / size**alpha
        best.append(max(scores, key=scores.get))
    kept = [[token for token in text if token >= 0] for text in found.tolist()]
    assert kept == [[token for token in text if token] for text in best]


@pytest.mark.parametrize("name", DECODERS)
def test_one_beam_equals_greedy_and_rows_do_not_depend_on_their_batch(name):
    model = model_of(Tokens(), decoder=name).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    inputs = torch.randint(1, V, (8, 4)) * (torch.arange(4) < torch.randint(1, 5, (8, 1)))
    greedy = model(inputs)["text"]
    head = model.heads["text"]
    for search in (Search(4), Search(4, beams=3)):
        head.search = search
        together = model(inputs)["text"]
        for row in range(8):
            alone = model(inputs[row : row + 1])["text"][0]
            assert together[row, : len(alone)].tolist() == alone.tolist()
            assert (together[row, len(alone) :] == MISSING).all()
    states = model.states(inputs)["text"]
    one = Search(4)._beam
    past = head.decoder.start(states)
    object.__setattr__(head.search, "beams", 1)
    assert torch.equal(one(head._step, past, 8, inputs.device), greedy)


def test_the_unknown_token_is_learned_but_never_generated():
    model = model_of()
    with torch.no_grad():
        model.heads["text"].output.layers[-1].bias[1] = 50.0
    assert not (model(rows())["text"] == 1).any()
    assert not (model.tasks["text"].decode(torch.eye(V)[None]).value == 1).any()


# Metrics -----------------------------------------------------------------------------------------


def test_perplexity_is_over_all_tokens_not_a_mean_over_batches():
    task = Generation("text", vocabulary_size=V, max_length=4)
    metrics = TaskMetrics([task])
    for total, count in ((2.0, 1.0), (0.0, 3.0)):
        terms = {"text": (torch.tensor(total), torch.tensor(count))}
        one = {"text": torch.tensor([[4, -100]])}
        metrics.update(one, one, terms)
    assert metrics.compute("text")["perplexity"] == pytest.approx(1.6487, abs=1e-4)


def test_uniform_scores_have_the_perplexity_of_the_vocabulary():
    task = Generation("text", vocabulary_size=V, max_length=4)
    metrics = TaskMetrics([task])
    metrics.update({"text": torch.zeros(4, 5, V)}, {"text": TEXTS})
    assert metrics.compute("text")["perplexity"] == pytest.approx(V)


def test_metrics_compare_texts_without_their_ends():
    task = Generation("text", vocabulary_size=V, max_length=4)
    found = torch.tensor([[4, 5, 0], [6, 6, 2], [5, 5, 5], [0, 5, 5]])
    metrics = TaskMetrics([task], trivial=fit_trivial([task], {"text": TEXTS}))
    terms = {"text": (torch.tensor(1.0), torch.tensor(1.0))}
    metrics.update({"text": found}, {"text": TEXTS}, terms)
    scores = metrics.compute("text")
    assert scores["count"] == 3
    assert scores["exact_match"] == pytest.approx(2 / 3)
    assert scores["token_f1"] == pytest.approx((1 + 2 * 1 / 4 + 1) / 3)
    assert metrics.trivial["text"]["exact_match"] == pytest.approx(1 / 3)


def test_token_f1_counts_a_token_as_often_as_it_is_in_both():
    from collections import Counter

    from motet.tasks.metric import ScoredRows
    from motet.tasks.metrics.texts import token_f1

    generator = torch.Generator().manual_seed(3)
    value, target = (torch.randint(0, 4, (50, 6), generator=generator) for _ in range(2))
    for each in (value, target):
        each[torch.arange(6) >= torch.randint(0, 7, (50, 1), generator=generator)] = MISSING
    naive = []
    for one, other in zip(value.tolist(), target.tolist(), strict=True):
        own, true = (Counter(t for t in text if t >= 0) for text in (one, other))
        size = own.total() + true.total()
        naive.append(2 * (own & true).total() / size if size else 1.0)
    assert token_f1(ScoredRows(value, None, target)).value == pytest.approx(sum(naive) / 50)


def test_the_trivial_prediction_is_the_most_frequent_training_text():
    task = Generation("text", vocabulary_size=V, max_length=2)
    labels = torch.tensor([[4, 5, 6], [4, 5, 6], [6, 0, -100], [-100] * 3])
    found = fit_trivial([task], {"text": labels})["text"]["exact_match"]
    assert found.value.tolist() == [[4, 5]]


def test_exact_match_of_generated_texts_is_that_of_right_scores_at_every_place():
    """Greedy generation gives a label exactly where it is the best token at each of its places."""
    model = model_of(Tokens(), max_length=2)
    inputs = torch.randint(1, V, (300, 3))
    targets = {"text": torch.randint(2, 4, (300, 2))}
    with torch.no_grad():
        model.heads["text"].output.layers[-1].bias[2:4] += 4.0
    forced, free = model.evaluated(inputs, targets=targets)
    hits = (free["text"] == targets["text"]).all(1)
    places = forced["text"][:, :2].argmax(2) == targets["text"]
    assert torch.equal(hits, places.all(1))
    assert 0 < hits.sum() < 300


def test_an_evaluation_generates_texts_of_labelled_rows_alone(monkeypatch):
    model, counts = model_of(Tokens()), []
    search = Search.__call__

    def counting(self, step, past, rows, device):
        counts.append(rows)
        return search(self, step, past, rows, device)

    monkeypatch.setattr(Search, "__call__", counting)
    inputs, free = pairs(8), model(pairs(8))["text"]
    labels = torch.where(inputs == 0, MISSING, inputs)
    labels[[1, 4, 5]] = MISSING
    found = model.evaluated(inputs, targets={"text": labels})[1]["text"]
    known = (labels != MISSING).any(1)
    assert torch.equal(found[known][:, : free.shape[1]], free[known][:, : found.shape[1]])
    assert (found[~known] == MISSING).all()
    labels[:] = MISSING
    assert model.evaluated(inputs, targets={"text": labels})[1]["text"].shape[0] == 8
    assert counts == [8, 5, 1]
    report = Trainer(model).evaluate((inputs, {"text": labels}))
    assert report["text"]["count"] == 0


# In models ---------------------------------------------------------------------------------------


def pairs(count, length=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, V, (count, length), generator=generator)
    ids[torch.arange(length) >= torch.randint(1, length + 1, (count, 1), generator=generator)] = 0
    return ids


class Reader(nn.Module):
    gives, width = "tokens", 32

    def __init__(self):
        super().__init__()
        self.vectors, self.places = nn.Embedding(V, 32), nn.Embedding(8, 32)
        self.layer = nn.Linear(32, 32)

    def forward(self, ids):
        states = torch.tanh(self.layer(self.vectors(ids) + self.places.weight[: ids.shape[1]]))
        return TokenStates(states, ids == 0, states.mean(1))


@pytest.mark.parametrize("decoder", others_slow(["gru"], DECODERS))
def test_a_model_learns_to_copy_texts(decoder):
    torch.manual_seed(0)
    ids = pairs(600)
    targets = torch.where(ids == 0, MISSING, ids)
    task = Generation(
        "copy", vocabulary_size=V, max_length=4, decoder=decoder, width=32, dropout=0.0
    )
    trainer = Trainer(MultiTaskModel(Reader(), [task]), learning_rate=1e-2, batch_size=100)
    trainer.fit((ids, {"copy": targets}), epochs=30)
    held_out = pairs(200, seed=1)
    report = trainer.evaluate((held_out, {"copy": torch.where(held_out == 0, MISSING, held_out)}))
    assert report["copy"]["exact_match"] > 0.95
    assert report["copy"]["perplexity"] < 1.2


@pytest.mark.parametrize("scheme", ["hard", "soft", "mmoe"])
def test_it_reads_tokens_where_the_scheme_carries_them_else_rows(scheme):
    torch.manual_seed(0)
    tasks = [
        Generation("text", vocabulary_size=V, max_length=4, width=8, heads=2),
        Classification("kind", classes=2),
    ]
    built = sharing.create(scheme, **({"expert_width": 5} if scheme == "mmoe" else {}))
    model = MultiTaskModel(Tokens(), tasks, sharing=built)
    state = model.states(torch.tensor([[2, 3, 0]]))["text"]
    assert isinstance(state, TokenStates) == (scheme != "mmoe")
    assert model(torch.tensor([[2, 3, 0]]))["text"].shape[0] == 1


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"precision": "bfloat16"}])
@pytest.mark.parametrize("balancer", ["equal", "pcgrad", "uncertainty"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_it_trains_beside_other_tasks(decoder, balancer, options):
    torch.manual_seed(0)
    tasks = [
        Generation("text", vocabulary_size=V, max_length=4, decoder=decoder, width=8),
        Classification("kind", classes=2),
    ]
    trainer = Trainer(MultiTaskModel(Tokens(), tasks), balancer, learning_rate=0.01, **options)
    ids = pairs(8)
    labels = torch.where(ids == 0, MISSING, ids)
    labels[3] = MISSING
    targets = {"text": labels, "kind": torch.arange(8) % 2}
    losses = [
        trainer.train_step({"inputs": ids, "targets": targets}).losses["text"].item()
        for _ in range(8)
    ]
    assert losses[-1] < losses[0]
    none = {"text": None, "kind": targets["kind"]}
    assert "text" not in trainer.train_step({"inputs": ids, "targets": none}).losses
    missing = {**targets, "text": torch.full((8, 4), MISSING)}
    assert "text" not in trainer.train_step({"inputs": ids, "targets": missing}).losses


def test_training_never_generates(monkeypatch):
    model = model_of(Tokens())
    monkeypatch.setattr(Search, "__call__", lambda *_: pytest.fail("generated"))
    trainer = Trainer(model)
    ids = pairs(8)
    trainer.train_step({"inputs": ids, "targets": {"text": torch.where(ids == 0, MISSING, ids)}})
    with pytest.warns(UserWarning, match="no row of the batch has a label of text"):
        trainer.train_step({"inputs": ids, "targets": {"text": None}})


def test_a_wrapped_module_gives_scores_of_every_place():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4 * V)

        def forward(self, inputs):
            return {"text": self.layer(inputs).unflatten(1, (4, V))}

    torch.manual_seed(0)
    model = MultiTaskModel.wrap(Whole(), [Generation("text", vocabulary_size=V, max_length=3)])
    targets = {"text": torch.tensor([[2, 3, 4]] * 6)}
    trainer = Trainer(model, learning_rate=0.1)
    for _ in range(30):
        trainer.train_step({"inputs": rows(), "targets": targets})
    assert trainer.predict(rows())["text"].tolist() == [[2, 3, 4, MISSING]] * 6


# A decoder of one's own --------------------------------------------------------------------------


class Constant(nn.Module):
    """Scores that do not depend on the text so far, as a minimal decoder."""

    takes_target = True

    def __init__(self, width, outputs):
        super().__init__()
        self.layer = nn.Linear(width, outputs)

    def forward(self, state, target=None):
        scores = self.layer(state.pooled)
        if target is None:
            return scores.argmax(1, keepdim=True)
        return scores[:, None].expand(-1, expected(target, 4).shape[1], -1)


def test_a_head_that_takes_its_target_replaces_the_decoder():
    torch.manual_seed(0)
    task = Generation("text", vocabulary_size=V, max_length=4, head=Constant)
    model = MultiTaskModel(nn.Linear(3, 8), [task])
    targets = {"text": torch.tensor([[5, 5, 5, 5]] * 6)}
    trainer = Trainer(model, learning_rate=0.1)
    for _ in range(30):
        trainer.train_step({"inputs": rows(), "targets": targets})
    assert trainer.predict(rows())["text"].tolist() == [[5]] * 6
    with pytest.raises(InputError, match="width: the head replaces the decoder"):
        Generation("text", vocabulary_size=V, max_length=4, head=Constant, width=9)


def test_another_head_is_the_output_layer():
    model = model_of(head={"hidden": [6]})
    assert model.heads["text"].output.layers[0].in_features == 8
    with pytest.raises(InputError, match="expected 7 outputs"):
        model_of(head=nn.Linear(8, 3))(rows(), targets={"text": TEXTS[[0] * 6]})


# Mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 2}, "vocabulary_size: found 2, expected at least 3"),
        ({"heads": 3}, "heads: found 3, expected a number that divides width: 8"),
        ({"length_penalty": 1.0}, "length_penalty: applies only with several beams"),
        ({"length_form": "gnmt"}, "length_form: applies only with several beams"),
        ({"max_length": None}, "max_length is not known; give it"),
        ({"vocabulary_size": None}, "vocabulary_size is not known; give it"),
        ({"metrics": ["accuracy"]}, "these do: exact_match, token_f1, perplexity"),
    ],
)
def test_options_without_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TaskMetrics(model_of(**options).tasks)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[7, 0]] * 6), "found the token 7, expected 0 to 6"),
        (torch.tensor([[-1, 0]] * 6), "found the token -1"),
        (torch.tensor([[2, -100, 2]] * 6), "found a token after -100"),
        (torch.tensor([2] * 6), r"labels have the shape \(6,\), expected \(B, L\)"),
    ],
)
def test_labels_that_are_no_texts_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        Trainer(model_of()).fit((rows(), {"text": labels}), epochs=1)


def test_generated_tokens_have_no_loss():
    model = model_of()
    with pytest.raises(InputError, match=r"model\(inputs, targets=targets\)"):
        model.losses(model(rows()), {"text": TEXTS[[0] * 6]})


def test_perplexity_of_weighted_rows_is_left_out_with_the_reason_unless_metrics_are_weighted():
    raw, target = torch.zeros(2, 2, V), torch.tensor([[4, 0], [5, 0]])
    weights = {"text": torch.tensor([1.0, 3.0])}
    for weigh in (False, True):
        metrics = TaskMetrics(
            [Generation("text", vocabulary_size=V, max_length=2, weighted_metrics=weigh)]
        )
        metrics.update({"text": raw}, {"text": target}, weights=weights)  # uniform: V each
        found = metrics.compute("text")["perplexity"]
        assert (found == pytest.approx(V)) if weigh else (found != found)
        assert ("another form of the loss" in metrics.notes.get("text.perplexity", "")) != weigh
