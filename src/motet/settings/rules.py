"""The table of rules: for each key, what fits the data, and whether it is the default.

A rule is one function from a `Case` to a `Setting`, and one line in `RULES`. It decides where a
config says ``auto``, and, if ``left_out`` is true in its line, also where the config leaves the key
out; otherwise the default of the schema stands. An explicit value always wins. None leaves what is
there. Earlier lines come first: the number of epochs depends on the batch size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from motet.settings import budget, vocabulary_sizes
from motet.settings.facts import Case, Setting

_FEW = 2_000
"""Training rows below which sets are small: an epoch of them is soon known by heart."""
_MANY = 10_000
"""Training rows from which one network learns as much as an ensemble, at a fraction of its cost."""
_FEW_TEXTS = 50_000
"""Training rows below which a bag of n-grams is the encoder of a text."""
_FEW_TAGGED = 500
"""Training rows below which words that are labelled are read as any others: 160 rows did not learn
otherwise."""
_MOST_TAGS = 100
"""Number of tags up to which a CRF is chosen: a step takes its square for each word."""
_IN_TABLES = frozenset({"number", "category", "vector", "time", "set"})
_OF_ROWS = frozenset({"classification", "regression", "multi_label", "ordinal", "count"})
"""Types of tasks that need one state per row and no auxiliary views."""
_RECURRENT = frozenset({"lstm"})
_READ_LETTERS = frozenset({"lstm", "transformer"})
"""Encoders from scratch that may read the letters of words."""
_OF_TABLES = frozenset({"mlp", "ensemble", "tabular_transformer", "identity"})


@dataclass(frozen=True)
class Rule:
    """What decides on a key."""

    key: str
    """The key; ``*`` stands for every input or task."""
    decide: Callable[[Case], Setting | None]
    left_out: bool = False
    """Whether it decides where a config leaves the key out, too."""

    def is_open(self, value: Any) -> bool:
        """Whether a value that a config gives leaves the choice to the rule."""
        of_budget = isinstance(value, Mapping) and ("share" in value or "steps" in value)
        return bool(value == "auto") or (self.decide is patience and of_budget)


def table_encoder(case: Case) -> Setting | None:
    """Choose the encoder of a table alone: members cost too much where rows are many."""
    facts = case.facts
    whole_rows = frozenset(facts.tasks.values()) <= _OF_ROWS
    if facts.rows >= _MANY or not facts.kinds <= _IN_TABLES or not whole_rows:
        return None
    inputs = (case.config["inputs"] or {}).values()
    if any(map(_is_of_others, case.config["tasks"].values())) or any(
        each.get("encoder") for each in inputs
    ):
        return None
    if case.value["type"] != "mlp" or case.config["model"]["sharing"]["type"] != "hard":
        return None
    return Setting({"type": "ensemble"}, f"{facts.rows:,} rows of a table")


def _may_read_all(case: Case) -> bool:
    """Whether the encoder of the table may be a user's that reads all inputs itself."""
    return case.config["model"]["encoder"]["type"] not in _OF_TABLES


def _is_of_others(task: Mapping[str, Any]) -> bool:
    """Whether a task depends on others, as means over members do not, or has a head of its own."""
    head = task.get("head")
    own_head = head is not None and head["type"] != "mlp"
    return own_head or any(task.get(key) for key in ("reads", "product", "latent"))


def text_encoder(case: Case) -> Setting | None:
    """Choose the encoder of a text; tasks that read its words need states of each."""
    facts = case.facts
    if not isinstance(case.value, Mapping) or facts.inputs[case.name].kind != "text":
        return None
    if _may_read_all(case):
        return None
    if facts.rows >= _FEW_TEXTS or not frozenset(facts.tasks.values()) <= _OF_ROWS:
        return None
    given = case.config["inputs"][case.name]
    if given.get("tokenizer", "wordpiece") != "wordpiece" or any(
        given.get(option) is not None for option in ("vocabulary", "min_count")
    ):
        return None  # options of tokens, which a bag does not read
    return Setting({"type": "bag"}, f"{facts.rows:,} training rows, and no task reads words")


def _reads_labelled_words(case: Case) -> bool:
    """Whether an encoder from scratch reads a text whose words are labelled, of rows enough."""
    if case.facts.rows < _FEW_TAGGED:
        return False
    encoder = case.config["inputs"][case.name].get("encoder")
    if not isinstance(encoder, Mapping) or encoder["type"] not in _READ_LETTERS:
        return False
    return case.input().labelled_words and not _may_read_all(case)


def tokenizer_of_words(case: Case) -> Setting | None:
    """Choose words as tokens where words are labelled: their letters are what pieces would be."""
    if not _reads_labelled_words(case):
        return None
    return Setting("words", "words are labelled, and their letters are read, too")


def characters(case: Case) -> Setting | None:
    """Choose that letters are read where words are labelled, as many of these are new later."""
    if not _reads_labelled_words(case):
        return None
    return Setting({"width": 48}, "words are labelled, and later ones are often new")


def word_dropout(case: Case) -> Setting | None:
    """Choose how many words are hidden, so that letters and neighbours are read, too."""
    if not _reads_labelled_words(case):
        return None
    found = case.config["inputs"][case.name]
    if found["tokenizer"] != "words" or found["encoder"]["characters"] is None:
        return None
    return Setting(0.15, "words are labelled, and later ones are often new")


def vocabulary(case: Case) -> Setting:
    """Choose the number of tokens of a tokeniser that is trained."""
    found, tokenizer = case.input(), case.config["inputs"][case.name].get("tokenizer", "wordpiece")
    size = vocabulary_sizes.size_for(tokenizer, found.words, found.distinct_words)
    return Setting(size, f"{found.words:,} words, {found.distinct_words:,} of them different")


def dropout_of_text(case: Case) -> Setting | None:
    """Choose the dropout of a text encoder from scratch: few texts are soon known by heart."""
    if case.facts.rows >= _FEW or case.input().kind != "text" or _may_read_all(case):
        return None
    return Setting(0.5, f"{case.facts.rows:,} training rows: few for an encoder from scratch")


def decoder(case: Case) -> Setting | None:
    """Choose how tags are decoded: a CRF where they spell spans, as it scores whole sentences."""
    task, tags = case.config["tasks"][case.name], case.facts.span_tags.get(case.name, 0)
    if task["type"] != "sequence_labelling" or not 0 < tags <= _MOST_TAGS:
        return None
    if case.facts.rows < _FEW_TAGGED:
        return None
    if task.get("class_weights") is not None or case.config["training"]["teachers"]:
        return None  # a CRF takes no class weights, and learns tags alone of teachers
    return Setting("crf", "tags spell spans, so those of a sentence depend on each other")


def label_smoothing(case: Case) -> Setting | None:
    """Choose the label smoothing of a task with classes."""
    task = case.config["tasks"][case.name]
    if case.facts.rows >= _FEW or task.get("loss", "cross_entropy") != "cross_entropy":
        return None
    return Setting(0.1, f"{case.facts.rows:,} training rows: probabilities would become extreme")


def weight_decay(case: Case) -> Setting | None:
    """Choose the weight decay."""
    if case.facts.rows >= _FEW or case.config["training"]["optimizer"]["type"] != "adamw":
        return None
    return Setting(0.1, f"{case.facts.rows:,} training rows")


def learning_rate(case: Case) -> Setting | None:
    """Choose the learning rate of Adam and AdamW by what is trained from scratch."""
    encoders = case.encoders()
    if case.config["training"]["optimizer"]["type"] not in ("adam", "adamw") or not encoders:
        return None
    if encoders <= {"mlp", "ensemble"}:
        return Setting(3e-3, "a table")
    return Setting(1e-2, "a recurrent encoder from scratch") if encoders <= _RECURRENT else None


def batch_size(case: Case) -> Setting:
    """Choose the batch size by the rows."""
    return budget.batch_size(case.rows())


def epochs(case: Case) -> Setting:
    """Choose the number of epochs by the steps that they have."""
    return budget.epochs(case.steps())


def patience(case: Case) -> Setting | None:
    """Count the evaluations of a share of training, or of steps; a quarter if nothing is given."""
    training = case.config["training"]
    given = case.value if isinstance(case.value, Mapping) else {"share": 0.25}
    found = budget.patience(given, training["epochs"], case.steps(), training["evaluate_every"])
    if isinstance(case.value, int) and found.value < case.value:
        return None  # a quarter of few evaluations is no trend
    return found


def monitor_smoothing(case: Case) -> Setting | None:
    """Choose how much the monitored value is smoothed by the validation rows."""
    if case.config["training"]["monitor"] == "any":  # it compares each task with itself
        return Setting(0.0, "monitor: any compares single evaluations")
    return budget.smoothing(case.facts.validation_rows)


def average(case: Case) -> Setting | None:
    """Choose whether weights are averaged."""
    return Setting("ema", "averaged weights vary less than those of single steps")


RULES = (
    Rule("model.encoder", table_encoder, left_out=True),
    Rule("inputs.*.encoder", text_encoder, left_out=True),
    Rule("inputs.*.tokenizer", tokenizer_of_words, left_out=True),
    Rule("inputs.*.encoder.characters", characters, left_out=True),
    Rule("inputs.*.encoder.word_dropout", word_dropout, left_out=True),
    Rule("inputs.*.vocabulary", vocabulary),
    Rule("inputs.*.encoder.dropout", dropout_of_text, left_out=True),
    Rule("tasks.*.decoder", decoder, left_out=True),
    Rule("tasks.*.label_smoothing", label_smoothing),
    Rule("training.optimizer.learning_rate", learning_rate, left_out=True),
    Rule("training.optimizer.weight_decay", weight_decay),
    Rule("training.batch_size", batch_size, left_out=True),
    Rule("training.epochs", epochs, left_out=True),
    Rule("training.early_stopping.patience", patience, left_out=True),
    Rule("training.monitor_smoothing", monitor_smoothing),
    Rule("training.average", average, left_out=True),
)
"""All rules, in the order in which they decide."""
