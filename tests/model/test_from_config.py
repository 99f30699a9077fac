"""Models from configs that tell all sizes: the same whatever the config came as, without data."""

import pytest
import torch
from torch.testing import assert_close

import motet
from motet import sharing
from motet.config import ConfigError
from motet.encoders import MLP
from motet.model import MultiTaskModel
from motet.tasks import Classification, MultiLabel, Regression

YAML = """\
inputs:
  job: {type: category, size: 12}
  age: number
  clip: {type: vector, width: 4}
tasks:
  churn: {type: classification, classes: [stay, go, ask]}
  spend: {type: regression, outputs: 2, loss: huber}
  tags: {type: multi_label, classes: 5}
model:
  encoder: {type: mlp, hidden: [8, 6]}
  sharing: {type: hard, shared_width: 7}
training: {seed: 3}
"""
MAPPING = {
    "inputs": {
        "job": {"type": "category", "size": 12},
        "age": "number",
        "clip": {"type": "vector", "width": 4},
    },
    "tasks": {
        "churn": {"type": "classification", "classes": ["stay", "go", "ask"]},
        "spend": {"type": "regression", "outputs": 2, "loss": "huber"},
        "tags": {"type": "multi_label", "classes": 5},
    },
    "model": {
        "encoder": {"type": "mlp", "hidden": [8, 6]},
        "sharing": {"type": "hard", "shared_width": 7},
    },
    "training": {"seed": 3},
}


def of_objects():
    torch.manual_seed(3)
    return MultiTaskModel(
        MLP(5, [14], hidden=(8, 6)),
        [
            Classification("churn", classes=["stay", "go", "ask"]),
            Regression("spend", outputs=2, loss="huber"),
            MultiLabel("tags", classes=5),
        ],
        sharing=sharing.create("hard", shared_width=7),
    )


def written(folder, text):
    (folder / "model.yaml").write_text(text)
    return folder / "model.yaml"


def complaints(config):
    with pytest.raises(ConfigError) as caught:
        MultiTaskModel.from_config(config)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "config",
    [
        lambda folder: written(folder, YAML),
        lambda folder: str(written(folder, YAML)),
        lambda folder: MAPPING,
        lambda folder: motet.Config(**MAPPING),
    ],
    ids=["yaml", "path as text", "mapping", "config"],
)
def test_a_config_gives_the_model_that_the_same_objects_give(tmp_path, config):
    model, expected = MultiTaskModel.from_config(config(tmp_path)), of_objects()
    assert model.describe() == expected.describe()
    assert_close(model.state_dict(), expected.state_dict(), rtol=0, atol=0)
    rows = {"numbers": torch.randn(6, 5), "categories": torch.arange(8, 14).unsqueeze(1)}
    assert_close(model.eval()(rows), expected.eval()(rows), rtol=0, atol=0)


def test_the_seed_decides_the_weights_and_the_users_generator_is_left_alone():
    torch.manual_seed(0)
    one, drawn = MultiTaskModel.from_config(MAPPING), torch.rand(3)
    other = MultiTaskModel.from_config({**MAPPING, "training": {"seed": 4}})
    torch.manual_seed(0)
    assert_close(drawn, torch.rand(3), rtol=0, atol=0)
    weights = (model.heads["churn"].state_dict().values() for model in (one, other))
    assert any(not torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_any_seed_that_a_config_takes_can_be_used():
    MultiTaskModel.from_config({**MAPPING, "training": {"seed": 2**70}})


def test_the_classes_named_are_the_outputs_in_their_order():
    model = MultiTaskModel.from_config(MAPPING)
    assert model.tasks["churn"].class_names == ("stay", "go", "ask")
    assert model.tasks["churn"].outputs == 3


def test_all_sizes_that_are_missing_are_told_at_once_with_what_to_add(tmp_path):
    path = written(
        tmp_path,
        """\
inputs:
  job: category
  age: number
  clip: {type: vector, columns: "clip_*"}
  height: {type: number, bins: 8}
tasks:
  churn: classification
  tags: {type: multi_label}
  spend: regression
""",
    )
    found = complaints(path)
    assert [line.removeprefix(f"{path}:").partition(": ")[0] for line in found] == [
        "2:3  inputs.job.size",
        "4:3  inputs.clip.width",
        "5:26  inputs.height.bins",
        "7:3  tasks.churn",
        "8:3  tasks.tags",
    ]
    for line, remedy in zip(
        found,
        ["size: 12", "width: 512", "remove bins", "give classes", "give classes"],
        strict=True,
    ):
        assert remedy in line


def test_inputs_left_out_cannot_be_inferred_without_data():
    (found,) = complaints({"tasks": {"spend": "regression"}})
    assert found == (
        "config  inputs: missing; without data, expected each input with its type and size"
    )


def test_what_is_wrong_otherwise_is_told_beside_the_missing_sizes(tmp_path):
    path = written(tmp_path, YAML.replace("size: 12", "sise: 12").replace("{seed: 3}", "{sede: 3}"))
    found = complaints(path)
    assert len(found) == 2
    assert f"{path}:2:25  inputs.job.sise: unknown key; did you mean 'size'?" in found
    assert "training.sede" in found[1]


@pytest.mark.parametrize("size", [10**30, 10**18, 10**15])
@pytest.mark.parametrize("option", ["size", "width", "outputs", "classes", "hidden"])
def test_a_size_beyond_all_memory_is_one_clear_message(option, size):
    inputs = {
        "size": {"type": "category", "size": size},
        "width": {"type": "vector", "width": size},
    }
    tasks = {
        "outputs": {"type": "regression", "outputs": size},
        "classes": {"type": "classification", "classes": size},
    }
    config = {
        "inputs": {"x": inputs.get(option, "number")},
        "tasks": {"y": tasks.get(option, "regression")},
        "model": {"encoder": {"hidden": [size if option == "hidden" else 4]}},
    }
    (found,) = complaints(config)
    key = "inputs.x.width: " if option == "width" else "model: "
    assert found.startswith(f"config  {key}")
    assert "it does not fit into the memory" in found


@pytest.mark.parametrize(
    ("sharing", "told"),
    [
        (
            {"type": "hard", "shared_layers": 9},
            "shared_layers: found 9, but the encoder has 2 stages",
        ),
        (
            {"type": "cross_stitch", "layers": [4]},
            "layers: found [4], but the encoder has 2 stages",
        ),
        ({"type": "mmoe", "top_k": 9}, "top_k: found 9, expected at most 8, the number of experts"),
        ({"type": "hard", "groups": [["y", "z"]]}, "groups: found 'z', which is not a task"),
        (
            {"type": "dselect_k", "k": 9},
            "experts: found 8 with k: 9, expected at least 2, and at least k",
        ),
    ],
)
def test_what_does_not_fit_the_encoder_or_the_tasks_is_told_at_the_way_of_sharing(sharing, told):
    tasks = {"x": "number"}, {"y": "regression"}
    model = {"encoder": {"hidden": [4]}, "sharing": sharing}
    (found,) = complaints({"inputs": tasks[0], "tasks": tasks[1], "model": model})
    assert found.startswith(f"config  model.sharing.{told}")


WORDS = {"type": "text", "tokenizer": "words", "vocabulary": 50}
ENCODERS = {
    "a row as it is": ({"x": "number"}, {"hidden": []}),
    "one layer": ({"x": "number"}, {"hidden": [8]}),
    "an lstm": ({"t": {**WORDS, "encoder": {"width": 8}}}, {}),
    "a transformer": ({"t": {**WORDS, "encoder": {"type": "transformer", "width": 8}}}, {}),
    "a row and a text": ({"x": "number", "t": {**WORDS, "encoder": {"width": 8}}}, {}),
}
SCHEMES = [
    *sharing.available(),
    {"type": "hard", "task_layers": 1},
    {"type": "hard", "shared_layers": 2},
    {"type": "soft", "layers": [3]},
    {"type": "ple", "levels": 3},
    {"type": "routing", "mode": "learned"},
    {"type": "routing", "task_embedding": 4},
    {"type": "attention", "form": "tokens"},
    {"type": "cross_stitch", "layers": [2, 3]},
    {"type": "cross_stitch", "units": "channel"},
]
REMEDIES = {  # what a message says, and the options that it asks for; None leaves one out
    "give expert_width, for example expert_width: 128": {"expert_width": 128},
    "set mode: fixed": {"mode": "fixed"},
    "set lateral: false": {"lateral": False},
    "set ratio: 1": {"ratio": 1},
    "remove layers": {"layers": None},
    "or sharing: hard": {"type": "hard", "layers": None},
    "leave shared_layers and task_layers out": {"shared_layers": None, "task_layers": None},
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_scheme_fits_an_encoder_or_says_what_to_write_in_the_config(scheme, encoder):
    inputs, options = ENCODERS[encoder]
    scheme = {"type": scheme} if isinstance(scheme, str) else scheme
    tasks = {"a": {"type": "regression", "head": {"hidden": [64]}}, "b": "regression"}

    def made(scheme, **encoder):
        model = {"encoder": {**options, **encoder}, "sharing": scheme}
        return {"inputs": inputs, "tasks": tasks, "model": model}

    try:
        MultiTaskModel.from_config(made(scheme))
    except ConfigError as error:
        found = str(error)
    else:
        return
    assert not any(word in found for word in ("nn.", "module", "function", "attribute"))
    remedies = [changes for text, changes in REMEDIES.items() if text in found]
    assert len(remedies) == 1
    changed = {o: v for o, v in {**scheme, **remedies[0]}.items() if v is not None}
    MultiTaskModel.from_config(made(changed))
    if "each width in `hidden` is a stage" in found:
        more = {"hidden": [8]} if "task_layers" in scheme else {"hidden": [8, 8, 8]}
        MultiTaskModel.from_config(made(scheme, **more))


def test_a_metric_that_does_not_suit_its_task_is_told_at_the_task():
    tasks = {"spend": {"type": "regression", "metrics": ["auroc"]}}
    (found,) = complaints({"inputs": {"age": "number"}, "tasks": tasks})
    assert "tasks.spend.metrics: 'auroc' does not suit regression" in found
