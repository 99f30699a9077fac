# ruff: noqa: E501  # a config and its message read best on one line
"""Reading a config: every problem at once, each with its place, in the user's words."""

import copy
import pickle

import numpy as np
import pytest

from motet.config import Config, ConfigError, read
from motet.config.only_tasks import only_tasks
from motet.data.sources.formats import READERS
from motet.problems import InputError
from motet.registry import BALANCERS, register

GOOD = {"data": {"source": "motet://adult"}, "tasks": {"income": {"type": "classification"}}}


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", list(READERS))
def test_every_kind_of_data_file_is_known_where_a_config_is_expected(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(b"a,b")
    with pytest.raises(InputError, match="is a file of data, expected a YAML config"):
        read(path)


def problems(source, *overrides):
    with pytest.raises(ConfigError) as caught:
        read(source, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_of_very_many_mistakes_the_first_are_explained_and_the_others_counted():
    tasks = {f"t{number}": {"type": "regression", "weight": -2.0} for number in range(700)}
    found = problems({**GOOD, "tasks": tasks})
    assert found[499] == "config  tasks.t499.weight: found -2.0, expected a number > 0"
    assert found[500:] == ["config  config: 200 more problems"]


def test_five_mistakes_are_five_lines_with_their_positions(tmp_path):
    path = written(
        tmp_path,
        """\
data: {source: table.csv}
inputs:
  age: numbr
tasks:
  churn: {type: classification, wieght: 2.0}
  spend: {type: regression, loss: hubr}
balancing:
  type: equall
training:
  epochs: many
""",
    )
    assert problems(path) == [
        f"{path}:3:8  inputs.age: found 'numbr', expected an input; did you mean 'number'?",
        f"{path}:5:33  tasks.churn.wieght: unknown key; did you mean 'weight'?",
        f"{path}:6:35  tasks.spend.loss: the loss 'hubr' is not known; did you mean 'huber'?",
        f"{path}:8:9  balancing.type: found 'equall', expected a balancer; did you mean 'equal'?",
        f"{path}:10:11  training.epochs: found 'many', expected a whole number or 'auto'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tasks: {a: {type: regression}}\nepochs: 3", "2:1  epochs: unknown key; did you mean training.epochs?"),
        ("tasks: {a: {type: regression}}\ndata:\n  sorce: x", "3:3  data.sorce: unknown key; did you mean 'source'?"),
        ("tasks: {a: {}}", "1:12  tasks.a: found a mapping without `type`, expected {type: "),
        ("tasks: {a: 7}", "1:12  tasks.a: found 7, expected {type: "),
        ("tasks: {}", "1:8  tasks: found no task, expected at least one"),
        ("tasks: {a: {type: regression}}\ninputs: {}", "2:9  inputs: found no input, expected at least one"),
        ("tasks: {a: {type: regression}}\ndata: {source: []}", "data.source: found [], expected a text or at least one entry"),
        ("tasks: {1: regression}", "1:9  tasks.1: found the key 1, expected a text; quote the key: '1'"),
        ("tasks: {true: regression}", "1:9  tasks.true: found the key true, expected a text; quote the key: 'true'"),
        ("tasks: {a: {type: regression, 3: 4}}", "1:31  tasks.a.3: found the key 3, expected a text; quote the key: '3'"),
        ("tasks: {a: {type: regression}}\n5: 6", "2:1  5: found the key 5, expected a text; quote the key: '5'"),
        ("tasks: {a.b: {type: regression}}", "1:9  tasks.a.b: found the name 'a.b', expected one without a dot; give the task another name, and column: a.b"),
        ("tasks: {a: {type: regression}}\nmodel: {sharing: soft_}", "2:18  model.sharing: found 'soft_', expected a sharing scheme"),
        ("tasks: {a: {type: regression}}\nmodel: {encoder: mpl}", "2:18  model.encoder: found 'mpl', expected an encoder"),
        ("tasks: {a: {type: regression}}\ntraining: {epochs: null}", "2:20  training.epochs: found null, expected a whole number"),
        ("tasks: {a: {type: regression}}\ntraining: {epochs: true}", "2:20  training.epochs: found true, expected a whole number"),
        ("tasks: {a: {type: regression}}\ntraining: {batch_size: '64'}", "2:24  training.batch_size: found '64', expected a whole number"),
        ("tasks: {a: {type: regression}}\ntraining: {clip_norm: '1'}", "2:23  training.clip_norm: found '1', expected a number"),
        ("tasks: {a: {type: regression}}\nmodel: {encoder: {hidden: [true]}}", "found true, expected a whole number"),
        ("tasks: {a: {type: regression, weight: true}}", "1:39  tasks.a.weight: found true, expected a number"),
        ("data: {source: x.csv}", "1:1  tasks: missing, but required"),
        ("tasks: {a: {type: regression, delta: 2}}", "1:38  tasks.a.delta: applies only with loss: huber, found loss: mse"),
        ("tasks: {a: {type: regression, loss: huber, delta: -1}}", "1:51  tasks.a.delta: found -1, expected a number > 0"),
        ("tasks: {a: {type: regression, head: {hiden: [3]}}}", "1:38  tasks.a.head.hiden: unknown key; did you mean 'hidden'?"),
        ("tasks: {a: {type: regression}}\nbalancing: manual", "2:1  balancing.weights: missing, but required"),
        ("tasks: {a: {type: regression}}\nbalancing: {type: manual, weights: {a: much}}", "2:40  balancing.weights.a: found 'much', expected a number"),
        ("tasks: {a: {type: regression}, a: {type: regression}}", "1:32  tasks.a: is given twice; keep one"),
        ("tasks: {a: {type: regression}}\ninputs: {a: number}", "2:10  inputs.a: the column 'a' is the target of task 'a'; remove it"),
        ("tasks: {a: {type: regression}, b: {type: regression, column: a}}", "both have the column 'a'"),
        ("tasks: {a: {type: regression}}\ntraining: {monitor: bb}", "2:21  training.monitor: found 'bb'; known: mean, worst, any, loss, a"),
        ("tasks: {a: {type: regression, enabled: false}}", "1:1  tasks: no task is enabled"),
        ("tasks: {a: {type: regression}}\ntraining: {device: gpu}", "2:20  training.device: found 'gpu', expected auto, cpu, cuda, cuda:N or mps"),
        ("tasks: {a: {type: regression}}\ndata: {split: {validation: dev}}", "`column` too"),
        ("- a\n- b", "1:1  config: found ['a', 'b'], expected a mapping with `data` and `tasks`"),
        ("tasks: {a: {type: regression", "not valid YAML"),
        ("tasks: [1, 2]", "1:8  tasks: found [1, 2], expected a mapping"),
    ],
)  # fmt: skip
def test_a_mistake_is_explained_where_it_stands(tmp_path, text, expected):
    path = written(tmp_path, text)
    found = problems(path)
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith(f"{path}:")


def test_an_override_that_is_wrong_is_named_as_such():
    assert problems(GOOD, "training.epohcs=3") == [
        "override 'training.epohcs=3'  training.epohcs: unknown key; did you mean 'epochs'?"
    ]


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("tasks.incme.weight=2", "tasks.incme"),
        ("model.encoder.hidden.0=3", "model.encoder.hidden"),
    ],
)
def test_an_override_that_makes_a_wrong_part_is_named_as_such(tmp_path, override, key):
    path = written(tmp_path, "data: {source: a.csv}\ntasks: {income: classification}\n")
    (found,) = problems(path, override)
    assert found.startswith(f"override {override!r}  {key}: found a mapping")


def test_a_mistake_of_the_file_is_not_put_down_to_an_override_inside_it(tmp_path):
    path = written(tmp_path, "data: {source: a.csv}\ntasks: {a: {weight: 2}}\n")
    (found,) = problems(path, "tasks.a.main=true")
    assert found.startswith(f"{path}:2:12  tasks.a: found a mapping without `type`")


@pytest.mark.parametrize(
    "key",
    [
        "training.clip_norm",
        "training.optimizer.learning_rate",
        "training.optimizer.weight_decay",
        "tasks.income.weight",
    ],
)
@pytest.mark.parametrize("number", [".inf", ".nan"])
def test_numbers_are_finite(key, number):
    (found,) = problems(GOOD, f"{key}={number}")
    assert found.endswith(f"{key}: found {number[1:]}, expected a finite number")


def test_a_misspelt_key_in_a_choice_of_forms_is_told_with_the_nearest():
    found = problems(GOOD, "training.evaluate_every={epoch: 5}")
    assert found[1].endswith("evaluate_every.epoch: unknown key; did you mean 'epochs'?")


def test_a_weight_that_would_never_change_is_refused():
    schedule = "tasks.income.weight={from: 1, to: 0.5, epochs: [5, 9]}"
    (found,) = problems(GOOD, schedule, "training.epochs=5")
    assert "weight.epochs: found [5, 9], expected a first epoch before 5" in found
    read(GOOD, [schedule, "training.epochs=6"])


@pytest.mark.parametrize("override", ["training.epochs", "=3", "training..epochs=3"])
def test_an_override_must_be_key_and_value(override):
    with pytest.raises(InputError, match="expected key=value"):
        read(GOOD, [override])


def test_one_override_may_stand_alone():
    assert read(GOOD, "training.epochs=3")[0].training.epochs == 3


def test_numbers_of_numpy_and_whole_numbers_for_fractions_are_taken():
    training = {"epochs": np.int64(3), "clip_norm": np.float64(2.5), "batch_size": 8.0}
    config = Config(tasks={"a": "regression"}, training=training, data={"split": {"test": 0}})
    assert config.training.epochs == 3
    assert config.training.clip_norm == 2.5
    assert config.training.batch_size == 8


def test_a_config_made_in_python_tells_mistakes_as_a_file_does():
    with pytest.raises(ConfigError) as caught:
        Config(tasks={"a": "regresion"}, training={"epohcs": 3})
    assert str(caught.value).splitlines() == [
        "config  tasks.a: found 'regresion', expected a task; did you mean 'regression'?",
        "config  training.epohcs: unknown key; did you mean 'epochs'?",
    ]


def test_a_config_made_in_python_knows_members_registered_since():
    Config(tasks={"a": "regression"})
    register("balancer", "late", BALANCERS["equal"])
    config = Config(tasks={"a": "regression"}, balancing="late")
    assert config.balancing.type == "late"
    assert read(config)[0] == config


def test_overrides_reach_members_given_by_name_alone():
    config, _ = read({**GOOD, "balancing": "uncertainty"}, ["balancing.form=revised"])
    assert config.balancing.type == "uncertainty"
    assert config.balancing.options()["form"] == "revised"


def test_a_file_a_mapping_and_an_object_give_the_same_config(tmp_path):
    path = written(
        tmp_path, "data: {source: motet://adult}\ntasks: {income: {type: classification}}"
    )
    from_file, from_mapping = read(path)[0], read(GOOD)[0]
    assert from_file == from_mapping == read(from_file)[0]
    assert read(from_mapping.model_dump(mode="json"))[0] == from_mapping


def test_scalars_are_those_of_yaml_1_2(tmp_path):
    """A column may be called "no", and 1e-3 is a number."""
    path = written(
        tmp_path,
        "tasks: {no: {type: regression, learning_rate: 1e-3}, on: {type: regression}}\n",
    )
    config, _ = read(path)
    assert list(config.tasks) == ["no", "on"]
    assert config.tasks["no"].options()["learning_rate"] == 1e-3


def test_what_is_right_beside_the_mistakes_is_kept(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read({**GOOD, "training": {"epochs": -1, "seed": 7}, "banana": 1})
    partial = caught.value.partial
    assert isinstance(partial, Config)
    assert partial.training.seed == 7
    assert partial.training.epochs == 20


@pytest.mark.parametrize("name", ["missing.yaml", ""])
def test_a_file_that_cannot_be_read_is_one_clear_message(tmp_path, name):
    with pytest.raises(InputError, match=r"there is no file|cannot be read|is a folder, expected"):
        read(tmp_path / name)


@pytest.mark.parametrize("source", [None, 5, ["config.yaml"]])
def test_what_is_no_config_at_all_is_one_clear_message(source):
    with pytest.raises(InputError, match="for a config, expected the path of a YAML file, a map"):
        read(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (5, "data.source: found 5, expected a text or a list"),
        ({"a": 1}, "data.source: found a mapping, expected a text or a list"),
        (["a.csv", 7], "data.source.1: found 7, expected a text"),
    ],
)
def test_a_value_that_fits_no_branch_of_a_union_is_one_problem(source, expected):
    found = problems({**GOOD, "data": {"source": source}})
    assert len(found) == 1
    assert expected in found[0]


def test_a_list_of_sources_is_kept_in_order():
    config, _ = read({**GOOD, "data": {"source": ["b.csv", "a/*.csv"]}})
    assert config.data.source == ("b.csv", "a/*.csv")
    assert read(config.model_dump(mode="json"))[0] == config


def test_what_is_wrong_deep_inside_a_list_leaves_the_rest_to_be_checked():
    with pytest.raises(ConfigError) as caught:
        read({**GOOD, "data": {"source": [7]}, "training": {"seed": 7}})
    assert caught.value.partial.training.seed == 7


def test_a_key_with_a_line_break_stays_on_one_line():
    assert "\n" not in problems({**GOOD, "a\nb": 1})[0]


def test_a_task_is_not_named_as_the_score_is():
    (found,) = problems({"tasks": {"score": {"type": "regression"}}})
    assert "give the task another name, and column: score" in found
    assert read({"tasks": {"points": {"type": "regression", "column": "score"}}})


def test_stratifying_by_the_split_column_is_refused():
    (found,) = problems({**GOOD, "data": {"split": {"column": "part", "stratify": "part"}}})
    assert "found 'part', which is column too; remove it" in found


def test_a_config_can_be_pickled_and_copied():
    config = Config(
        tasks={"a": {"type": "regression", "weight": 2.0}, "b": "classification"},
        inputs={"clip": {"type": "vector", "width": 3}},
        balancing="uncertainty",
    )
    for again in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert again == config
        assert again.model_dump(exclude_unset=True) == config.model_dump(exclude_unset=True)
        assert again.tasks["a"].options() == config.tasks["a"].options()


@pytest.mark.parametrize("value", [True, np.True_, "3", 2.5])
def test_what_is_no_whole_number_is_no_size(value):
    with pytest.raises(ConfigError, match=r"inputs\.clip\.width: found .*, expected a whole num"):
        Config(tasks={"a": "regression"}, inputs={"clip": {"type": "vector", "width": value}})
    with pytest.raises(ConfigError, match=r"tasks\.a\.classes: found .*, expected a whole number"):
        Config(tasks={"a": {"type": "classification", "classes": value}})


@pytest.mark.parametrize(
    ("split", "key", "message"),
    [
        ({"column": "part", "group": "who"}, "group", "found 'who' beside column"),
        ({"time": "day", "stratify": "a"}, "stratify", "found 'a' beside time"),
        ({"time": "day", "folds": 3}, "folds", "found 3 beside time"),
        ({"time": "day", "seed": 1}, "seed", "nothing is drawn where rows are split by time"),
        ({"folds": 5, "test": 0.1}, "test", "each of which is the test split of a run"),
        ({"folds": 5, "fold": 6}, "fold", "expected one of the 5 folds"),
        ({"fold": 1}, "fold", "expected folds too"),
        ({"folds": 1}, "folds", "expected"),
    ],
)
def test_ways_of_splitting_that_exclude_each_other_are_refused(split, key, message):
    (found,) = problems({**GOOD, "data": {"split": split}})
    assert f"data.split.{key}" in found
    assert message in found


@pytest.mark.parametrize(
    ("names", "overrides", "expected"),
    [
        (["a"], [], ["tasks.b.enabled=false"]),
        (["b", "c"], [], ["tasks.a.enabled=false", "tasks.c.enabled=true"]),
        (["d"], ["tasks.d.type=regression"], [f"tasks.{task}.enabled=false" for task in "ab"]),
    ],
)
def test_some_tasks_alone_are_overrides_of_the_others(names, overrides, expected):
    config = {"tasks": {"a": "regression", "b": {"type": "regression"}}}
    config["tasks"]["c"] = {"type": "regression", "enabled": False}
    found = only_tasks(config, names, overrides)
    assert found == [*overrides, *expected]
    enabled = {name: task.enabled for name, task in read(config, found)[0].tasks.items()}
    assert [name for name, on in enabled.items() if on] == names


def test_a_config_that_is_wrong_is_left_to_its_own_messages():
    assert only_tasks({"tasks": 3}, ["a"], ["x=1"]) == ["x=1"]
    with pytest.raises(InputError, match="tasks: no task is named 'chrun'; did you mean 'churn'"):
        only_tasks({"tasks": {"churn": "classification"}}, ["chrun"], [])


@pytest.mark.parametrize("key", ["column", "group"])
def test_rows_are_not_split_by_what_is_predicted(key):
    (task,) = list(GOOD["tasks"])[:1]
    (found,) = problems({**GOOD, "data": {"split": {key: task}}})
    assert f"data.split.{key}" in found
    assert "is the target of a task, expected another column" in found


def test_an_input_and_a_task_that_read_several_columns_may_have_the_name_of_a_column():
    inputs = {"scores": {"type": "vector", "columns": "x_*"}, "y": "number"}
    tasks = {"scores": "regression", "y": {"type": "multi_label", "columns": ["y_0", "y_1"]}}
    assert list(read({"inputs": inputs, "tasks": tasks})[0].inputs) == ["scores", "y"]
