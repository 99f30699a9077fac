"""A task that labels words, with an encoder of the user's own: trained, evaluated, predicted."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import motet
from motet.config import ConfigError
from motet.data.arrays import ArrayData
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.sharing import Hard, SharedModule, Sharing
from motet.states import TokenStates
from motet.tasks import Classification, SequenceLabelling
from motet.training import Trainer, TrainingError

NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]
WORDS = 12
"""Words 1 and 2 begin a span of type a or b, 3 goes on with it, all others are outside; 0 is no
word."""


def sentences(rows, seed):
    rng = np.random.default_rng(seed)
    words = rng.integers(1, WORDS, (rows, 7))
    words[np.arange(7) >= rng.integers(1, 8, (rows, 1))] = 0
    tags = np.full(words.shape, -100)
    for row, line in enumerate(words):
        kind = None
        for place, word in enumerate(line[line > 0]):
            kind = {1: 1, 2: 3, 3: kind}.get(word)
            tags[row, place] = 0 if kind is None else kind + (word == 3)
    first = np.where((words == 1).any(axis=1), 1, 0)
    return words, {"slots": tags, "first": first}


class Embedding(nn.Module):
    """The state of a word knows the word before it."""

    width = 32

    def __init__(self, numbers=0, categories=()):
        super().__init__()
        self.words = nn.Embedding(WORDS, 16, padding_idx=0)
        self.mix = nn.GRU(16, 32, batch_first=True)

    def forward(self, words):
        if isinstance(words, dict):  # in a run: a column per word, where 1 is "missing"
            words = (words["categories"] - 1).abs()
        states = self.mix(self.words(words))[0]
        padding = words == 0
        pooled = states.masked_fill(padding.unsqueeze(2), 0).sum(dim=1)
        return TokenStates(states, padding, pooled / (~padding).sum(dim=1, keepdim=True).clamp(1))


def made(sharing=None, **options):
    torch.manual_seed(0)
    tasks = [
        SequenceLabelling("slots", classes=NAMES, **options),
        Classification("first", classes=2),
    ]
    return MultiTaskModel(Embedding(), tasks, sharing=sharing)


TRAIN, TEST = sentences(400, 0), sentences(100, 1)


@pytest.mark.parametrize(
    ("options", "balancer"),
    [
        ({"decoder": "crf"}, "uncertainty"),
        pytest.param({}, "equal", marks=pytest.mark.slow),
        pytest.param({"decoder": "lstm"}, "pcgrad", marks=pytest.mark.slow),
    ],
)
def test_a_toy_of_tagging_is_learned_beside_a_task_that_reads_rows(options, balancer):
    model = made(**options)
    trainer = Trainer(model, balancer, batch_size=50, learning_rate=1e-2)
    trainer.fit(TRAIN, TEST, epochs=15)
    report = trainer.evaluate(TEST)
    assert report["slots"]["span_f1"] > 0.9
    assert report["slots"]["token_accuracy"] > 0.95
    assert report["first"]["auroc"] > 0.95
    assert report.trivial["slots"]["span_f1"] == 0
    assert report.scores["slots"] == report["slots"]["span_f1"]
    found = trainer.predict(TEST[0])["slots"]
    assert ((found >= 0) == (TEST[0] > 0)).all()
    assert model.tasks["slots"].tags.valid(found).all()
    if options.get("decoder") == "crf":
        assert model.tasks["slots"].crf.constrained


def test_words_and_rows_without_labels_teach_nothing_and_do_no_harm():
    words, targets = TRAIN
    rng = np.random.default_rng(0)
    partly = np.where(rng.random(words.shape) < 0.5, -100, targets["slots"])
    partly[::4] = -100
    for decoder in ("linear", "crf"):
        trainer = Trainer(made(decoder=decoder), batch_size=50, learning_rate=1e-2)
        trainer.fit((words, {**targets, "slots": partly}), epochs=15)
        assert trainer.evaluate(TEST)["slots"]["span_f1"] > 0.9


def test_a_loader_may_give_batches_of_different_lengths():
    words, targets = TEST
    batches = [
        {
            "inputs": words[start : start + 25, :length],
            "targets": {
                "slots": targets["slots"][start : start + 25, :length],
                "first": targets["first"][start : start + 25],
            },
        }
        for start, length in ((0, 7), (25, 4), (50, 5))
    ]
    for batch in batches:
        batch["targets"]["slots"][batch["inputs"] == 0] = -100
    trainer = Trainer(made(), learning_rate=1e-2)
    trainer.fit(batches, epochs=2)
    labelled = sum(int((batch["targets"]["slots"] >= 0).sum()) for batch in batches)
    task = trainer.model.tasks["slots"]
    found = trainer._data(batches, "x").label_statistics({"slots": task.statistics})["slots"]
    assert int(found.totals.sum()) == int((found.sample.rows >= 0).sum()) == labelled
    assert trainer.evaluate(batches)["slots"]["count"] == 75


@pytest.mark.parametrize("decoder", ["linear", "lstm", "crf"])
def test_a_label_where_there_is_no_word_is_reported_with_its_row(decoder):
    words, targets = TRAIN
    row = int(np.flatnonzero((words == 0).sum(1) == 3)[4])  # 4 words, so that place 5 is padding
    wrong = {**targets, "slots": targets["slots"].copy()}
    wrong["slots"][row, 5] = 0
    said = rf"'slots': found a label where there is no word, in row {row} at place 5; expected -100"
    trainer = Trainer(made(decoder=decoder), batch_size=50)
    with pytest.raises(InputError, match=said):
        trainer.fit((words, wrong), epochs=1)
    with pytest.raises(InputError, match=said):
        trainer.evaluate((words, wrong))
    with pytest.raises(InputError, match=said):
        trainer.fit(TRAIN, (words, wrong), epochs=1)
    batch = {
        "inputs": torch.tensor(words),
        "targets": {t: torch.tensor(y) for t, y in wrong.items()},
    }
    with pytest.raises(InputError, match=rf"no word, in row {row} of the batch at place 5"):
        trainer.train_step(batch)
    batches = list(ArrayData(words, wrong).batches(50))
    place = rf"in row {row % 50} of batch {row // 50} at place 5"
    with pytest.raises(InputError, match=place):
        trainer.evaluate(batches)


def test_a_text_without_a_word_has_no_label():
    words, targets = TEST
    words, wrong = words.copy(), {**targets, "slots": targets["slots"].copy()}
    words[7] = 0
    wrong["slots"][7, 0] = 0
    with pytest.raises(InputError, match="no word, in row 7 at place 0"):
        Trainer(made(), batch_size=50).fit((words, wrong), epochs=1)


def test_scores_that_are_not_finite_are_no_fault_of_the_labels():
    model = made()
    with torch.no_grad():
        model.sharing.stages[0].words.weight[5] = torch.nan
    trainer = Trainer(model, batch_size=50)
    with pytest.raises(TrainingError, match="the loss of slots, first was not finite"):
        trainer.train_epoch(TRAIN)


def test_parts_of_a_batch_add_up_to_the_whole():
    model, data = made(decoder="crf"), ArrayData(*TRAIN)
    batches = list(data.batches(100))
    raws = [model(batch.inputs) for batch in batches]
    terms = [model.loss_terms(raw, batch.targets) for raw, batch in zip(raws, batches, strict=True)]
    whole = model.loss_terms(model(data.inputs), data.targets)
    for task in ("slots", "first"):
        assert_close(sum(each[task][0] for each in terms), whole[task][0])
        assert_close(sum(each[task][1] for each in terms), whole[task][1])


def test_a_shared_layer_serves_words_and_rows_alike():
    model = made(sharing=Hard(shared_width=8))
    states = model.sharing(torch.from_numpy(TEST[0]), ["slots", "first"])["slots"]
    before = model.sharing.stages[0](torch.from_numpy(TEST[0]))
    layer = nn.Sequential(*model.sharing.stages[1])
    assert_close(states.states, layer(before.states))
    assert_close(states.pooled, layer(before.pooled))
    assert model(torch.from_numpy(TEST[0]))["slots"].shape == (100, 7, 5)


def test_an_encoder_that_gives_rows_is_refused():
    slots = SequenceLabelling("slots", classes=NAMES)
    model = MultiTaskModel(nn.Linear(3, 4), [slots])
    with pytest.raises(
        InputError,
        match=r"'slots' reads tokens .*, but the encoder gave a tensor \(2, 4\)",
    ):
        model(torch.zeros(2, 3))
    with pytest.raises(InputError, match=r"expected \(B, L, 9\) and \(B, L\)"):
        MultiTaskModel(Embedding(), [slots], width=9)(torch.ones(2, 3, dtype=torch.long))


def test_sharing_that_does_not_read_tokens_is_refused():
    class Rows(Sharing):
        def build(self, stages, tasks, width):
            return SharedModule()

    with pytest.raises(InputError, match="use sharing: hard"):
        made(sharing=Rows())


def test_a_wrapped_module_gives_scores_itself():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.slots = Embedding(), nn.Linear(32, 5)

        def forward(self, words):
            tokens = self.body(words)
            return {
                "slots": self.slots(tokens.states).masked_fill(tokens.padding[..., None], torch.nan)
            }

    model = MultiTaskModel.wrap(Whole(), [SequenceLabelling("slots", classes=NAMES)])
    words, targets = TEST
    trainer = Trainer(model, batch_size=50)
    trainer.fit((words, {"slots": targets["slots"]}), epochs=1)
    assert ((trainer.predict(words)["slots"] >= 0) == (words > 0)).all()


# Whole runs ----------------------------------------------------------------------------------


@pytest.fixture
def _own_encoder():
    motet.register("encoder", "words", Embedding)


def table(data):
    words, targets = data
    columns = {
        f"w{place}": [f"{w:02}" if w else None for w in words[:, place]] for place in range(7)
    }
    tags = [[NAMES[tag] for tag in row if tag >= 0] for row in targets["slots"]]
    return pa.table({**columns, "slots": tags, "first": targets["first"]})


def config(**slots):
    return {
        "inputs": {f"w{place}": "category" for place in range(7)},
        "tasks": {
            "slots": {"type": "sequence_labelling", "decoder": "crf", **slots},
            "first": "classification",
        },
        "model": {"encoder": "words"},
        "training": {"epochs": 3, "batch_size": 32},
    }


@pytest.mark.usefixtures("_own_encoder")
def test_a_whole_run_predicts_tags_and_spans_and_says_the_same_when_loaded(tmp_path):
    rows = table(TRAIN)
    run = motet.train(config(), data=rows, output=tmp_path / "run")
    assert run.config.tasks["slots"].scheme is None
    again = motet.load(run.path / "model")
    found = again.predict(rows)
    assert found.column_names[:2] == ["slots", "slots_spans"]
    assert found.equals(run.predict(rows))
    lengths = (TRAIN[0] > 0).sum(axis=1).tolist()
    assert [len(tags) for tags in found["slots"].to_pylist()] == lengths
    for tags, spans in zip(
        found["slots"].to_pylist(), found["slots_spans"].to_pylist(), strict=True
    ):
        assert sum(tag.startswith("B-") for tag in tags) == len(spans)
        for span in spans:
            assert tags[span["start"]] == f"B-{span['type']}"
            assert all(t == f"I-{span['type']}" for t in tags[span["start"] + 1 : span["end"]])
    report = again.evaluate(rows)
    assert report["slots"].keys() == {"span_f1", "token_accuracy", "loss", "count"}
    saved = pq.read_table(run.path / "predictions" / "test.parquet")
    assert {"slots_true", "slots", "slots_spans"} <= set(saved.column_names)
    for suffix in ("csv", "jsonl"):
        motet.run.write_predictions(found, tmp_path / f"found.{suffix}")
    first = json.loads((tmp_path / "found.jsonl").read_text().splitlines()[0])
    assert first["slots"] == found["slots"][0].as_py()


@pytest.mark.usefixtures("_own_encoder")
def test_tags_unknown_to_training_are_told_with_their_row(tmp_path):
    run = motet.train(config(), data=table(TRAIN), output=tmp_path / "run")
    assert "the tags are BIO, of 2 types" in (run.path / "model" / "README.md").read_text()
    rows = table(TEST)
    tags = rows["slots"].to_pylist()
    tags[7] = ["B-z"] * len(tags[7])
    place = rows.column_names.index("slots")
    notes = run.evaluate(rows.set_column(place, "slots", pa.array(tags))).notes
    assert "'B-z'" in notes["slots"]
    assert "first in row 7" in notes["slots"]


@pytest.mark.usefixtures("_own_encoder")
def test_tags_that_a_config_does_not_name_are_told_with_their_row(tmp_path):
    rows = table(TEST)
    tags = rows["slots"].to_pylist()
    tags[7] = ["B-z"] * len(tags[7])
    rows = rows.set_column(rows.column_names.index("slots"), "slots", pa.array(tags))
    split = ["train"] * 100
    split[7], split[8] = "test", "validation"
    wrong = {**config(classes=NAMES), "data": {"split": {"column": "part"}}}
    with pytest.raises(ConfigError, match="its labels have 'B-z' in row 7, not among its classes"):
        motet.train(wrong, data=rows.append_column("part", [split]), output=tmp_path / "run")


def test_an_encoder_of_table_rows_is_refused_before_anything_is_written(tmp_path):
    wrong = {**config(), "model": {}}
    with pytest.raises(ConfigError, match=r"tasks.slots: it labels .* no input is a text; add it"):
        motet.train(wrong, data=table(TRAIN), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
