"""Rules choose by the data alone, give reasons, and never replace what a user gave."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.config import Config
from motet.settings import RULES, Facts, InputFacts, Setting, budget, resolve, resolving
from motet.settings.rules import Rule

TASKS = {"a": {"type": "classification"}, "b": {"type": "regression"}}
TEXT = {"review": {"type": "text"}}
ROWS = st.integers(1, 10_000_000)


def settled(given, facts):
    found, choices = resolve(Config(**given).model_dump(), given, facts)
    return found, {each.key: each for each in choices}


@given(ROWS)
def test_every_budget_has_enough_steps_or_the_most_epochs(rows):
    size = budget.batch_size(rows).value
    steps = -(-rows // size)
    epochs = budget.epochs(steps).value
    assert size & (size - 1) == 0
    assert epochs * steps >= 1_500 or epochs == 300
    assert epochs * steps <= 12_000 + steps or epochs == 3


@given(ROWS, st.floats(0.01, 1), st.integers(1, 300))
def test_a_share_of_training_is_that_share_of_its_evaluations(rows, share, epochs):
    found = budget.patience({"share": share}, epochs, rows, "epoch").value
    assert max(share * epochs, 1) - 1e-5 <= found < share * epochs + 1.01


@pytest.mark.parametrize(
    ("every", "expected"), [("epoch", 10), (25, 40), ({"epochs": 5}, 2), (3_000, 1)]
)
def test_patience_counts_evaluations_however_often_they_are(every, expected):
    assert budget.patience({"share": 0.1}, 100, 100, every).value == expected
    assert budget.patience({"steps": 1_000}, 100, 100, every).value == expected


def test_automatic_values_become_numbers_that_depend_on_each_other():
    training = {
        "epochs": "auto",
        "batch_size": "auto",
        "early_stopping": {"patience": {"share": 0.2}},
        "monitor_smoothing": "auto",
    }
    found, choices = settled({"tasks": TASKS, "training": training}, Facts(640, 120))
    assert found["training"]["batch_size"] == 32
    assert found["training"]["epochs"] == 75
    assert found["training"]["early_stopping"] == {"patience": 15}
    assert found["training"]["monitor_smoothing"] == 0.7
    assert choices["training.epochs"].reason == "1,500 steps in all, 20 steps an epoch"
    assert Config(**found).training.epoch_count == 75


def test_a_given_number_stays_and_others_follow_it():
    training = {"epochs": "auto", "batch_size": 64}
    found, choices = settled({"tasks": TASKS, "training": training}, Facts(640))
    assert found["training"]["batch_size"] == 64
    assert found["training"]["epochs"] == 150
    assert "training.batch_size" not in choices


def test_a_config_that_leaves_nothing_open_is_as_it_was():
    given = Config(inputs=TEXT, tasks=TASKS, training={"epochs": 3}).model_dump()
    found, choices = settled(given, Facts(100, 10, {"review": InputFacts("text")}))
    assert found == given
    assert not choices


NUMBERS = {"age": InputFacts("number"), "job": InputFacts("category")}
WHOLE = {"a": "classification", "b": "regression"}


@pytest.mark.parametrize(
    ("facts", "model", "encoder"),
    [
        (Facts(500, 50, NUMBERS, WHOLE), {}, "ensemble"),
        (Facts(10_000, 500, NUMBERS, WHOLE), {}, "mlp"),
        (Facts(500, 50, NUMBERS | {"note": InputFacts("text")}, WHOLE), {}, "mlp"),
        (Facts(500, 50, NUMBERS, WHOLE | {"c": "ranking"}), {}, "mlp"),
        (Facts(500, 50, NUMBERS, WHOLE), {"sharing": "mmoe"}, "mlp"),
    ],
)
def test_few_rows_of_a_table_alone_are_read_by_an_ensemble(facts, model, encoder):
    inputs = {name: {"type": each.kind} for name, each in facts.inputs.items()}
    found, choices = settled({"inputs": inputs, "tasks": TASKS, "model": model}, facts)
    assert found["model"]["encoder"]["type"] == encoder
    rate = 1e-3 if "note" in facts.inputs else 3e-3
    assert found["training"]["optimizer"]["learning_rate"] == rate
    assert choices["training.average"].value == "ema"


@pytest.mark.parametrize(
    ("rows", "tasks", "encoder", "rate"),
    [(1_000, WHOLE, "bag", None), (1_000, {"a": "sequence_labelling"}, "lstm", 1e-2)],
)
def test_texts_are_read_as_a_bag_unless_words_are_labelled(rows, tasks, encoder, rate):
    facts = Facts(rows, 100, {"review": InputFacts("text")}, tasks)
    found, _ = settled({"inputs": TEXT, "tasks": TASKS}, facts)
    assert found["inputs"]["review"]["encoder"]["type"] == encoder
    assert found["training"]["optimizer"]["learning_rate"] == (rate or 1e-3)


def of_words(kind="sequence_labelling", *, rows=5_000, task=(), training=(), spans=9, **options):
    """Return what is chosen of a task of words, and of its text beside another one."""
    inputs = {"review": {"type": "text", **options}, "title": {"type": "text"}}
    texts = {"review": InputFacts("text", labelled_words=True), "title": InputFacts("text")}
    given = {"inputs": inputs, "tasks": {"slots": {"type": kind, **dict(task)}}}
    of_task = {"slots": spans} if spans else {}
    facts = Facts(rows, 100, texts, {"slots": kind}, of_task)
    _, choices = settled({**given, "training": dict(training)}, facts)
    assert not {"inputs.title.tokenizer", "inputs.title.encoder.characters"} & {*choices}
    of_both = ("inputs.review.", "tasks.slots.")
    return {key.split(".", 2)[2]: c.value for key, c in choices.items() if key.startswith(of_both)}


LETTERS = {"tokenizer": "words", "encoder.characters": {"width": 48}, "encoder.word_dropout": 0.15}
CRF = {"decoder": "crf"}


def test_words_that_are_labelled_are_read_by_letters_and_spans_decoded_by_a_crf():
    assert of_words() == LETTERS | CRF
    assert of_words(encoder={"type": "transformer", "width": 64}) == LETTERS | CRF
    assert of_words("word_regression", spans=0) == LETTERS
    assert not {*LETTERS, *CRF} & {*of_words(rows=400)}


def test_words_are_hidden_only_where_their_letters_are_read_and_tokens_are_words():
    assert of_words(tokenizer="wordpiece") == {"encoder.characters": {"width": 48}, **CRF}
    given = {"type": "lstm", "characters": None}
    assert of_words(encoder=given) == {"tokenizer": "words", **CRF}


@pytest.mark.parametrize("encoder", ["bag+lstm", {"type": "pretrained", "path": "models/minilm"}])
def test_other_encoders_of_words_stay_as_they_are(encoder):
    assert of_words(encoder=encoder) == CRF


@pytest.mark.parametrize(
    "given",
    [
        {"spans": 0},
        {"spans": 101},
        {"task": {"decoder": "linear"}},
        {"task": {"class_weights": "balanced"}},
        {"training": {"teachers": ["runs/slots"]}},
    ],
)
def test_a_crf_is_not_chosen_where_it_would_cost_much_or_refuse_what_is_given(given):
    assert of_words(**given) == LETTERS


RULED = [rule for rule in RULES if "*" not in rule.key]


@pytest.mark.parametrize("rule", RULED, ids=lambda rule: rule.key)
def test_what_a_user_gave_wins_over_every_rule(rule, monkeypatch):
    """Even over one that decides where the key is left out, and that has another opinion."""
    given = Config(tasks=TASKS).model_dump()
    here = given
    for key in rule.key.split("."):
        here = here[key]
    other = Rule(rule.key, lambda case: Setting("other", "it is better"), left_out=True)
    monkeypatch.setattr(resolving.rules, "RULES", (other,))
    assert resolve(given, given, Facts(100))[1] == []
    (choice,) = resolve(given, {"tasks": TASKS}, Facts(100))[1]
    assert choice == (rule.key, "other", "it is better")


def test_a_rule_of_every_input_is_given_the_facts_of_each(monkeypatch):
    def by_words(case):
        words = case.input().distinct_words
        return Setting({"type": "transformer"}, f"{words} words") if words > 10 else None

    rule = Rule("inputs.*.encoder", by_words, left_out=True)
    monkeypatch.setattr(resolving.rules, "RULES", (rule,))
    inputs = {name: {"type": "text"} for name in ("one", "two", "three")}
    inputs["three"]["encoder"] = {"type": "lstm"}
    given = {"inputs": inputs | {"age": {"type": "number"}}, "tasks": TASKS}
    words = {"one": 5, "two": 50, "three": 500}
    facts = {name: InputFacts("text", distinct_words=count) for name, count in words.items()}
    found, choices = settled(given, Facts(100, inputs=facts | {"age": InputFacts("number")}))
    assert list(choices) == ["inputs.two.encoder"]
    assert found["inputs"]["two"]["encoder"] == {"type": "transformer"}


@pytest.mark.parametrize(("tokenizer", "expected"), [("words", 3_500), ("wordpiece", 4_000)])
def test_auto_becomes_the_number_of_tokens_that_fits_the_training_rows(tokenizer, expected):
    inputs = {"review": {"type": "text", "tokenizer": tokenizer, "vocabulary": "auto"}}
    facts = InputFacts("text", distinct_words=3_500, words=450_000)
    found, choices = settled({"inputs": inputs, "tasks": TASKS}, Facts(9, 1, {"review": facts}))
    assert found["inputs"]["review"]["vocabulary"] == expected
    assert "inputs.review.vocabulary" in choices


@pytest.mark.parametrize("given", [{}, {"tokenizer": "words"}, {"vocabulary": 500}])
def test_a_bag_is_not_chosen_where_options_of_tokens_are_given(given, monkeypatch):
    rule = next(each for each in RULES if each.key == "inputs.*.encoder")
    monkeypatch.setattr(resolving.rules, "RULES", (replace(rule, left_out=True),))
    facts = Facts(100, 10, {"review": InputFacts("text")}, {"a": "classification"})
    inputs = {"review": {"type": "text", **given}}
    found, _ = settled({"inputs": inputs, "tasks": TASKS}, facts)
    chosen = found["inputs"]["review"]["encoder"]
    assert (chosen["type"] == "bag") == (not given)


@pytest.mark.parametrize("rows", [50, 5_000, 500_000])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_each_rule_could_be_switched_on_and_gives_a_valid_config(rule, rows, monkeypatch):
    monkeypatch.setattr(resolving.rules, "RULES", (replace(rule, left_out=True),))
    given = {"inputs": TEXT | {"age": {"type": "number"}}, "tasks": TASKS}
    inputs = {
        "review": InputFacts("text", rows, 20 * rows, labelled_words=True),
        "age": InputFacts("number"),
    }
    facts = Facts(rows, rows // 5, inputs, {"a": "classification", "b": "regression"})
    found, choices = settled(given, facts)
    Config(**found)
    for choice in choices.values():
        assert choice.reason
        assert not choice.reason.endswith(".")


@pytest.mark.parametrize(
    ("scheduling", "sizes", "expected"),
    [
        ("all", (None, None), 20),  # 640 rows of the larger source, 32 at a time
        ("all", (64, None), 10),
        ("all", (None, 4), 25),  # 100 rows of the smaller one, 4 at a time
        ({"type": "round_robin", "combine": "cycle"}, (None, None), 10),
    ],
)
def test_steps_are_those_of_the_source_with_most_batches_and_of_combined_draws(
    scheduling, sizes, expected
):
    tasks = {
        name: {**TASKS[name], "source": name, "batch_size": size}
        for name, size in zip(TASKS, sizes, strict=True)
    }
    training = {"epochs": "auto", "batch_size": 32}
    given = {"tasks": tasks, "scheduling": scheduling, "training": training}
    given["data"] = {"sources": {name: {"source": f"{name}.csv"} for name in tasks}}
    facts = Facts(640, tasks=dict.fromkeys(TASKS, "count"), sources={"a": 640, "b": 100})
    _, choices = settled(given, facts)
    reason = choices["training.epochs"].reason
    assert reason.endswith(f", {expected} steps an epoch")
