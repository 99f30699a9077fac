# ruff: noqa: E501  # a file and its message read best on one line
"""Files as people write them by mistake: each problem at its place, with what to write."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from motet.datasets import adult
from motet.problems import InputError
from motet.registry import DATASETS
from motet.run.preparing import read_rows

DATA = "data: {source: motet://adult, split: {column: split}}\n"
GOOD = DATA + "tasks: {income: classification}\n"


@pytest.fixture(scope="module", autouse=True)
def few_rows(tmp_path_factory):
    """A hundredth of the data set, with all of its columns."""
    path = tmp_path_factory.mktemp("adult") / "adult.parquet"
    table = pq.read_table(adult())
    pq.write_table(table.take(pa.array(range(0, len(table), 100))), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS._own, "adult", lambda: path)
        yield


def complaints(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_rows(path)
    return str(caught.value).replace(f"{path}:", "").splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # not YAML
        ("training:\n\tepochs: 3", "4:1  config: not valid YAML: found a tab, expected spaces"),
        ("training: {epochs: 3}\ttraining", "3:22  config: not valid YAML: found a tab, expected spaces"),
        ("training:\n  epochs:3\n  seed: 4", "4:3  config: not valid YAML: no space after a colon; write epochs: 3"),
        ("training:\n  seed: 4\n  epochs:3", "5:3  config: not valid YAML: no space after a colon; write epochs: 3"),
        ("training = 3", "3:1  config: not valid YAML: found training = 3; write training: 3"),
        ("training:\n  epochs = 3\n  seed: 4", "4:3  config: not valid YAML: found epochs = 3; write epochs: 3"),
        ("training: epochs: 3", "3:17  config: not valid YAML: two keys in one line; write training: {epochs: 3}"),
        ("training:\n  optimizer: adam\n    learning_rate: 0.01", "5:5  config: not valid YAML: optimizer has the value adam, and a key below it; write optimizer: alone, and below it, indented alike, type: adam"),
        ("training\n  epochs: 3", "3:1  config: not valid YAML: found 'training', expected key: value"),
        ("inputs:\n  age: number\n  education category", "5:3  config: not valid YAML: found 'education category', expected key: value"),
        ("inputs:\n  age: number\n education: category", "5:2  config: not valid YAML: this line is indented by other spaces, expected as many as the lines above it"),
        ("training: {epochs: 3\n", "3:11  config: not valid YAML: found an open bracket, expected a comma or its end by line 5"),
        ("training: {epochs: 3}}", "3:22  config: not valid YAML: expected <block end>, but found '}'"),
        ("---\ntraining: {epochs: 3}", "3:1  config: not valid YAML: found a second document after ---"),
        ("training:\u00a03\nmodel: {}", "3:10  config: not valid YAML: found a non-breaking space"),
        ("training: *base", "3:11  config: not valid YAML: found undefined alias 'base'"),
        # nesting and indentation
        ("training:\n", "3:10  training: found null, expected a mapping; indent its keys below training:, or, if there are none, remove training"),
        ("model:\n  # encoder: mlp", "3:7  model: found null, expected a mapping; indent its keys below model:"),
        ("balancing:\n", "3:11  balancing: found null, expected {type: equal"),
        ("training:\n  optimizer:\n  learning_rate: 0.01", "5:3  training.learning_rate: unknown key; did you mean training.optimizer.learning_rate?"),
        ("training.epochs: 3", "3:1  training.epochs: unknown key; keys of a file are nested: write training: {epochs: 3}"),
        ("training.optimizer.learning_rate: 0.1", "nested: write training: {optimizer: {learning_rate: 0.1}}"),
        ("Training:\n  epochs: 3", "3:1  Training: unknown key; did you mean 'training'?"),
        ("epochs: 3", "3:1  epochs: unknown key; did you mean training.epochs?"),
        ("model: {sharing: mmoe, experts: 4}", "3:24  model.experts: unknown key; did you mean model.sharing.experts?"),
        ("model:\n  mmoe:\n    experts: 4", "4:3  model.mmoe: unknown key; write sharing: {type: mmoe, ...}"),
        ("model:\n  sharing:\n    mmoe:\n      experts: 4", "; write {type: mmoe, experts: 4}"),
        ("balancing:\n  pcgrad:\n    seed: 1", "; write {type: pcgrad, seed: 1}"),
        ("training:\n  epochs: 3\n  epochs: 4", "5:3  training.epochs: is given twice; keep one"),
        ("training: {seed: 1}\ntraining: {epochs: 3}", "4:1  training: is given twice; keep one"),
        # lists for mappings, missing colons
        ("training:\n  - epochs: 3\n  - seed: 4", "expected a mapping; remove the dashes before its keys"),
        ("inputs:\n  - age: number\n  - education: category", "education': 'category'}], expected a mapping; remove the dashes before its keys"),
        ("inputs:\n  - age\n  - education", "write {age: TYPE, education: TYPE}, each TYPE one of number"),
        ("inputs:\n  age number", "write age: number, with a space after the colon"),
        ("inputs: {age, education}", "3:13  inputs.age: found null, expected {type: number"),
        ("training:\n  epochs:3", "3:1  training: found 'epochs:3', expected a mapping; write epochs: 3, with a space after the colon"),
        ("training: 'epochs: 3'", "3:11  training: found 'epochs: 3', expected a mapping; write epochs: 3"),
        ("training: {epochs: 3, batch_size 64}", "3:23  training.batch_size 64: unknown key; write batch_size: 64, with a colon and a space"),
        # values
        ("training: {epochs: '3'}", "found '3', expected a whole number or 'auto'; write 3, without quotes"),
        ("training:\n  epochs: 3,000", "found '3,000', expected a whole number or 'auto'; write 3000, without quotes"),
        ("training: {seed: yes}", "3:18  training.seed: found 'yes', expected a whole number"),
        ("training: {device: cuda 0}", "did you mean 'cuda:0'?"),
        ("training: {early_stopping: None}", "3:28  training.early_stopping: found 'None', expected a mapping; write null"),
        ("training: {optimizer: {learning_rate: '1e-3'}}", "found '1e-3', expected a number; write 0.001, without quotes"),
        ("training: {optimizer: {learning_rate: 0,01}}", "training.optimizer.1: found 1 alone; write lists in brackets, and decimals with a point"),
        ("training: {optimizer: {betas: 0.9 0.99}}", "expected a list; write [0.9, 0.99]"),
        ("model: {encoder: {hidden: 256, 128}}", "model.encoder.128: found 128 alone; write lists in brackets"),
        ("model: {encoder: {hidden: ['256']}}", "write 256, without quotes"),
        ("training: {freeze: encoder}", "expected a list; write [encoder]"),
        ("training: {analysis: true}", "expected a mapping; remove it for the default, or write {every: auto, layers: true, affinity: first_order}"),
        # names
        ("inputs: {agee: number}", "3:10  inputs.agee: the data have no column 'agee' (did you mean 'age'?)"),
        ("inputs: {age: {type: text, tokenizer: word}}", "3:39  inputs.age.tokenizer: found 'word', expected words, wordpiece, bpe, or the path of a file or folder; did you mean 'words'?"),
        ("inputs: {age: {type: text, tokenizer: word, vocabulary: 100}}", "tokenizer: found 'word'"),
        ("training: {monitor: incme}", "3:21  training.monitor: found 'incme'; did you mean 'income'?"),
    ],
)  # fmt: skip
def test_a_mistake_beside_what_is_right_is_named_with_its_remedy(tmp_path, text, expected):
    found = complaints(tmp_path, GOOD + text + "\n")
    assert any(expected in line for line in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tasks:\n  - income: classification", ["2:1  tasks: found [{'income': 'classification'}], expected a mapping; remove the dashes before its keys"]),
        ("tasks:\n  - income\n", ["2:1  tasks: found ['income'], expected a mapping; write {income: TYPE}, each TYPE one of classification, regression, multi_label, sequence_labelling"]),
        ("tasks:\n  - {name: income, type: category}", ["2:1  tasks: found [{'name': 'income', 'type': 'category'}], expected a mapping; write {income: {type: classification}}"]),
        ("tasks: income", ["2:8  tasks: found 'income', expected a mapping; write {income: TYPE}, each TYPE one of classification, regression, multi_label, sequence_labelling"]),
        ("tasks:\nincome: classification", ["2:7  tasks: found null, expected a mapping; indent its keys below tasks:", "3:1  income: unknown key; known: data, inputs, tasks, model, balancing, scheduling, training"]),
        ("tasks:\n  income:\n  hours_per_week: regression", ["3:10  tasks.income: found null, expected {type: classification | regression | multi_label | "]),
        ("target: income", ["1:1  tasks: missing, but required", "2:1  target: unknown key; did you mean 'tasks'?"]),
        ("tasks: {incom: classification}", ["2:9  tasks.incom: the data have no column 'incom' (did you mean 'income'?)"]),
        ("tasks: {income: {type: classification, metrics: accuracy}}", ["2:49  tasks.income.metrics: found 'accuracy', expected a list; write [accuracy]"]),
        ("tasks: {income: {type: classification, weight: '2'}}", ["2:48  tasks.income.weight: found '2', expected a number; write 2, without quotes"]),
        ("tasks: {income: {type: classification, head: {type: linear}}}", ["2:53  tasks.income.head.type: found 'linear', expected a head; did you mean 'mlp'?"]),
        ("tasks: {income: {type: classification, classes: no, yes}}", ["2:49  tasks.income.classes: found 'no', expected a whole number or a list; write [no]", "2:53  tasks.income.yes: unknown key; it has no value; write a list in brackets"]),
    ],
)  # fmt: skip
def test_a_mistake_in_the_tasks_is_named_with_its_remedy(tmp_path, text, expected):
    found = complaints(tmp_path, DATA + text + "\n")
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: motet://adult", "1:7  data: found 'motet://adult', expected a mapping; write {source: motet://adult}"),
        ("data: {source: motet://adlt}", "1:8  data.source: no dataset is named 'adlt'; did you mean 'adult'?"),
        ("source: motet://adult", "1:1  source: unknown key; did you mean data.source?"),
        ("dataset: {source: motet://adult}", "1:1  dataset: unknown key; did you mean 'data'?"),
        ("data: {source: motet://adult, split: 0.2}", "data.split: found 0.2, expected a mapping; write {test: 0.2}"),
        ("data: {source: motet://adult, split: {test: 20}}", "expected a number < 1 or a text; write 0.2 for 20 %"),
        ("data: {source: motet://adult, split: {column: splt}}", "the data have no column 'splt' (did you mean 'split'?)"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_data_is_the_one_problem(tmp_path, text, expected):
    (found,) = complaints(tmp_path, text + "\ntasks: {income: classification}\n")
    assert expected in found
