"""What training can be configured with is written once; all else is made of that."""

import inspect
import json
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import motet
from motet.config import Config
from motet.config.training import EarlyStoppingConfig, TrainingConfig
from motet.problems import InputError
from motet.training import Trainer
from motet.training.options import OPTIONS, TrainingOptions, with_defaults

DOCS = Path(__file__).parents[2] / "docs" / "config.md"
KEYS = [each for each in OPTIONS if each.elsewhere is None]


def model():
    torch.manual_seed(0)
    return motet.MultiTaskModel(nn.Linear(2, 3), [motet.tasks.Regression("a")])


def section(**training):
    return Config(tasks={"a": "regression"}, training=training).training


# One definition ----------------------------------------------------------------------------------


def test_every_option_of_the_type_is_read_with_its_default_and_explanation():
    assert [each.name for each in OPTIONS] == list(TrainingOptions.__annotations__)
    for each in OPTIONS:
        assert each.description.rstrip(")").endswith("."), each.name
        assert "  " not in each.description


def test_the_section_has_each_option_that_a_file_can_express():
    fields = TrainingConfig.model_fields
    own = {"epochs", "cache_frozen", "teachers", "calibrate", "loggers", "early_stopping"}
    assert set(fields) == {each.name for each in KEYS} | own
    for each in KEYS:
        assert fields[each.name].description == each.description
    patience = next(each for each in OPTIONS if each.name == "patience")
    assert EarlyStoppingConfig.model_fields["patience"].description == patience.description
    assert EarlyStoppingConfig().patience == patience.default


def test_a_section_without_keys_gives_a_trainer_its_defaults():
    found = section().options()
    assert found.pop("optimizer")["type"] == "adamw"
    assert found.pop("lr_schedule")["type"] == "cosine"
    plain = with_defaults({})
    assert found == {name: plain[name] for name in found}
    assert set(plain) - set(found) == {
        "optimizer",
        "lr_schedule",
        *(each.name for each in OPTIONS if each.elsewhere and each.name != "patience"),
    }


def test_the_spellings_of_a_config_reach_the_trainer():
    changes = {"optimizer": {"learning_rate": 0.5}, "early_stopping": {"patience": 3}}
    found = section(**changes, freeze=["encoder"], epochs=3, cache_frozen=False).options()
    assert found["optimizer"]["learning_rate"] == 0.5
    assert found["patience"] == 3
    assert found["freeze"] == ("encoder",)
    assert "epochs" not in found
    assert "cache_frozen" not in found
    assert section(early_stopping=None).options()["patience"] is None


@pytest.mark.parametrize("name", ["learning_rate", "patience", "metrics", "on_record"])
def test_what_only_python_has_is_no_key_of_the_section(name):
    with pytest.raises(InputError, match=f"training.{name}: unknown key"):
        section(**{name: 1})


# Python ------------------------------------------------------------------------------------------


def test_the_signature_of_the_trainer_lists_each_option_with_its_default():
    parameters = inspect.signature(Trainer).parameters
    assert list(parameters) == ["model", "balancer", "scheduling", *(each.name for each in OPTIONS)]
    for each in OPTIONS:
        assert parameters[each.name].default == each.default
        assert parameters[each.name].kind is inspect.Parameter.KEYWORD_ONLY


def test_the_docstring_of_the_trainer_explains_each_option():
    text = inspect.getdoc(Trainer)
    words = " ".join(text.split())
    for each in OPTIONS:
        assert f"{each.name}: {each.description}" in words
    assert "**options" not in text
    assert text.index("batch_size:") < text.index("Raises:")
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bacth_size": 3}, "no option 'bacth_size'; did you mean 'batch_size'"),
        ({"batch_size": True}, "batch_size: found true, expected a whole number"),
        ({"unfreeze": {"evry": 2}, "freeze": ["encoder"]}, "unfreeze"),
        ({"on_record": 3}, "on_record: found 3, expected a function"),
        ({"batch_size": 0, "seed": -1}, "batch_size: .*; seed: found -1"),
    ],
)
def test_a_wrong_option_is_one_clear_error(options, message):
    with pytest.raises(InputError, match=f"^Trainer: {message}"):
        Trainer(model(), **options)


def test_a_device_of_another_make_may_be_named_in_python_only():
    assert Trainer(model(), device="cpu:0").device == torch.device("cpu:0")
    with pytest.raises(InputError, match="expected auto, cpu, cuda, cuda:N or mps"):
        section(device="cpu:0")


# Documentation -----------------------------------------------------------------------------------


def shown(value):
    return yaml.safe_dump(json.loads(json.dumps(value)), default_flow_style=True).split("\n")[0]


def table(rows):
    texts = [" | ".join(row).replace("``", "`") for row in rows]
    return "\n".join(f"| {text} |" for text in texts)


def keys_of_the_section():
    explanations = TrainingConfig.explanations()
    for name, field in TrainingConfig.model_fields.items():
        if name == "early_stopping":
            inner = EarlyStoppingConfig.model_fields["patience"]
            yield "`early_stopping.patience`", f"`{inner.default}`", inner.description
            yield "`early_stopping`", "", "`null` never stops early."
        else:
            yield f"`{name}`", f"`{shown(field.default)}`", " ".join(explanations[name].split())


def options_of_python():
    for each in OPTIONS:
        if each.elsewhere is not None:
            key = each.elsewhere.key
            yield (
                f"`{each.name}`",
                f"`{key}`" if key and " " not in key else key or "",
                each.description,
            )


@pytest.mark.parametrize("rows", [keys_of_the_section, options_of_python])
def test_the_tables_of_the_docs_are_made_of_the_options(rows):
    expected = table(rows())
    assert expected in DOCS.read_text(), f"docs/config.md should hold:\n{expected}"
