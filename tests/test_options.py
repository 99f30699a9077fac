"""Options are written once, in signatures: read from source they are what Python sees."""

import inspect
import json
from collections.abc import Sequence
from typing import Annotated, ClassVar, get_args, get_origin

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict, Unpack

from motet import options, sharing
from motet.config import json_schema, read
from motet.config.members import Section
from motet.data.inputs.text import Text
from motet.data.inputs.vector import Vector
from motet.encoders import LSTM, MLP, Identity, TabularTransformer, Transformer
from motet.encoders.beside_bag import BagLSTM
from motet.encoders.ensemble import Ensemble
from motet.encoders.fusion import Concat
from motet.options import (
    TASK_DEFAULTS,
    Default,
    PositiveInt,
    TaskOptions,
    checked,
    common_options,
    create,
    defaults_of,
    label_kind_of,
    read_options,
    reading,
)
from motet.options.markers import only_with
from motet.options.reading import REQUIRED, from_object
from motet.problems import InputError
from motet.registry import ENCODERS, KINDS, TASKS

MEMBERS = [
    (kind, name)
    for kind, registry in KINDS.items()
    if kind != "label"  # made of the options of a task, not named in a config
    for name in registry
]
ON_TEXTS = ("language_modelling", "masked_language_modelling", "word_order")
ON_TEXTS += ("next_sentence", "sentence_order")
PYTHON_ONLY = {
    ("loss", "cross_entropy"): {"class_weights", "reduction"},  # by the task, as it calls them
    ("loss", "focal"): {"class_weights", "reduction"},
    ("loss", "binary_cross_entropy"): {"pos_weight", "reduction"},
    ("task", "custom"): {"decode"},
    ("loss", "negative_binomial"): {"log_size", "reduction"},
    **{("loss", name): {"reduction"} for name in ("mse", "mae", "huber", "log_cosh", "poisson")},
    **{
        ("task", name): {"scaling"} for name in ("quantile", "word_regression", "pixel_regression")
    },  # learned from labels
    ("task", "regression"): {"scaling", "log_scale"},
    **{(kind, name): {"vocabulary"} for kind in ("task", "auxiliary") for name in ON_TEXTS},
    **{(kind, "denoising"): {"cells"} for kind in ("task", "auxiliary")},
}


def signature_of(kind, name):
    """Keyword-only parameters and defaults as Python sees them, those of every task included."""
    found = {}
    for parameter in inspect.signature(KINDS[kind][name]).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            empty = parameter.default is parameter.empty
            found[parameter.name] = REQUIRED if empty else parameter.default
        elif get_origin(parameter.annotation) is Unpack:
            (shared,) = get_args(parameter.annotation)
            found |= defaults_of(shared) | getattr(KINDS[kind][name], "option_defaults", {})
    return found


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_options_read_from_source_are_those_of_the_signature(kind, name):
    expected = signature_of(kind, name)
    for each in PYTHON_ONLY.get((kind, name), ()):
        del expected[each]
    expected |= {each.name: each.default for each in common_options(KINDS[kind])}
    found = {option.name: option.default for option in read_options(KINDS[kind], name)}
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("name", list(TASKS))
def test_the_label_kind_read_from_source_is_that_of_the_class(name):
    assert label_kind_of(name) == TASKS[name].label_kind.name


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_annotations_read_from_source_mean_what_the_imported_ones_mean(kind, name):
    common = common_options(KINDS[kind])
    from_source = [each for each in read_options(KINDS[kind], name) if each not in common]
    imported = {option.name: option for option in from_object(KINDS[kind][name])}
    for option in from_source:
        one, other = (
            TypeAdapter(each.annotation).json_schema() for each in (option, imported[option.name])
        )
        assert one == other, option.name
        assert option.only_with == imported[option.name].only_with
        assert option.description == imported[option.name].description


def test_built_in_options_are_read_without_a_trial_of_each_type(monkeypatch):
    monkeypatch.setattr(reading, "TypeAdapter", None)
    found = reading._from_source.__wrapped__(TASKS.place("classification"))
    assert [each.name for each in found if each.name == "class_weights"]


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_every_member_and_option_is_described(kind, name):
    assert options.summary(KINDS[kind], name).endswith((".", ":"))
    for option in read_options(KINDS[kind], name):
        assert option.description.rstrip(")").endswith("."), f"{option.name}: {option.description}"


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_defaults_are_values_that_the_option_takes(kind, name):
    for option in read_options(KINDS[kind], name):
        if not option.required and option.only_with is None:
            TypeAdapter(option.annotation).validate_python(option.default)


def test_options_common_to_a_kind_are_those_of_the_function_that_creates_its_members():
    (groups, embedding) = common_options(KINDS["sharing"])
    found = inspect.signature(sharing.create).parameters
    assert (groups.name, embedding.name) == ("groups", "task_embedding")
    assert groups.default is found["groups"].default is None
    assert embedding.default is found["task_embedding"].default is None


def test_defaults_of_task_options_are_those_for_all_of_them():
    assert list(TASK_DEFAULTS) == list(TaskOptions.__annotations__)


# JSON schema ---------------------------------------------------------------------------------


def test_the_json_schema_is_valid_and_says_which_draft_it_is():
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(schema, allow_nan=False)


GOOD = {"tasks": {"a": {"type": "classification", "class_weights": "balanced"}}}


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"balancing": "equal"}, True),
        ({"balancing": {"type": "uncertainty", "form": "revised"}}, True),
        ({"inputs": {"x": "number", "j": {"type": "category", "min_count": 3}}}, True),
        ({"model": {"encoder": {"hidden": [3]}}}, True),
        ({"training": {"optimizer": {"learning_rate": 0.1}}}, True),
        ({"tasks": {"a": {"type": "regression", "head": {"type": "mlp", "hidden": [8]}}}}, True),
        ({"tasks": {}}, False),
        ({"tasks": {"a": {"type": "regresion"}}}, False),
        ({"balancing": "equall"}, False),
        ({"balancing": {"type": "uncertainty", "form": "revise"}}, False),
        ({"inputs": {"x": "nubmer"}}, False),
        ({"banana": 1}, False),
        ({"training": {"epochs": "many"}}, False),
        ({"training": {"epochs": 0}}, False),
        ({"tasks": {"a": {"type": "classification", "losss": "focal"}}}, False),
    ],
)
def test_an_editor_that_reads_the_json_schema_agrees_with_motet(change, valid, for_editors):
    config = {**GOOD, **change}
    assert for_editors.is_valid(config) == valid
    if valid:
        read(config)
    else:
        with pytest.raises(InputError):
            read(config)


def test_the_json_schema_explains_every_key():
    for name, model in json_schema()["$defs"].items():
        for key, field in model.get("properties", {}).items():
            assert "description" in field, f"{name}.{key}"


# Calls from Python ---------------------------------------------------------------------------


class Thing:
    @checked
    def __init__(self, name: str, *, size: options.PositiveInt = 1, ratio: float = 0.5) -> None:
        self.name, self.size, self.ratio = name, size, ratio


def test_all_that_is_wrong_with_a_call_is_one_message():
    with pytest.raises(InputError) as caught:
        Thing("a", size=0, ratio="much", sizze=3)
    message = str(caught.value)
    assert message.startswith("Thing: ")
    for part in ("size: found 0, expected a number > 0", "ratio: found 'much'", "mean 'size'?"):
        assert part in message


def test_a_missing_argument_is_told():
    with pytest.raises(InputError, match="Thing: name: missing, but required"):
        Thing()


@pytest.mark.parametrize("more", [(2,), (2, 0.3, "and", "on")])
def test_options_are_given_by_name(more):
    with pytest.raises(InputError, match="Thing: found 2 by position; give options by name"):
        Thing("a", *more)


def test_arguments_that_fit_go_through():
    thing = Thing("a", size=3)
    assert (thing.name, thing.size, thing.ratio) == ("a", 3, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create(ENCODERS, "mlp", 3, dropuot=0.1), "no option 'dropuot'; did you mean 'dr"),
        (lambda: create(TASKS, "regression", "a", wieght=2.0), "did you mean 'weight'"),
        (lambda: create(TASKS, "regression", "a", delta=2.0), "only with loss: huber"),
        (lambda: create(TASKS, "regression", "a", loss="focal"), "'focal' does not fit here"),
        (lambda: create(TASKS, "regresion", "a"), "did you mean 'regression'"),
    ],
)
def test_a_wrong_option_names_the_nearest_one(call, message):
    with pytest.raises(InputError, match=message):
        call()


class Breadth(TypedDict, total=False):
    """Options that members of one's own share."""

    width: Annotated[PositiveInt, Default(3)]
    """How wide."""


class Shape(Breadth, total=False):
    """More of them."""

    depth: Annotated[PositiveInt, Default(2)]
    """How deep."""


class Box:
    """A member.

    Args:
        depth: How deep a box is.
        color: What it looks like.
        **common: Options of every shape.
    """

    option_defaults: ClassVar = {"width": 5}

    @checked
    def __init__(self, *, color: str = "red", **common: Unpack[Shape]) -> None:
        self.color, self.options = color, common


def test_options_that_members_share_are_defined_once_outside_the_package_too():
    found = {option.name: (option.default, option.description) for option in from_object(Box)}
    assert found == {
        "color": ("red", "What it looks like."),
        "width": (5, "How wide."),
        "depth": (2, "How deep a box is."),
    }
    assert options.defaults_of(Shape) == {"width": 3, "depth": 2}
    assert Box(depth=4).options == {"depth": 4}


class Corner(Section):
    """A form of an option that another package defines."""

    __module__ = "package.corners"
    sides: ClassVar[int] = 2
    """Not a key."""
    radius: int = Field(3, description="How round.")
    flat: bool = Field(False, alias="even", description="How even.")


def test_an_option_may_have_a_form_of_another_package():
    def round_box(*, corner: Corner | None = None): ...

    (option,) = from_object(round_box)
    assert get_args(option.annotation)[0] is Corner
    keys = Corner.model_json_schema()["properties"]
    assert {key: each["description"] for key, each in keys.items()} == {
        "radius": "How round.",
        "even": "How even.",
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depth": 0}, "Box: depth: found 0"),
        ({"deph": 1}, "Box: no option 'deph'; did you mean 'depth'"),
    ],
)
def test_options_that_members_share_are_checked(wrong, message):
    with pytest.raises(InputError, match=message):
        Box(**wrong)


SIZED = ("encoder", "fusion", "head", "sharing")
ZERO = {"numbers", "vocabulary", "task_layers", "task_experts", "level"}  # for none of them
COUNTED_FROM_THE_END = {"level"}


def whole_numbers(annotation):
    """How deep in lists an annotation has a whole number; None if it has none."""
    if annotation is int:
        return 0
    depths = [whole_numbers(each) for each in get_args(annotation)]
    inside = get_origin(annotation) in (Sequence, tuple)
    return next((depth + inside for depth in depths if depth is not None), None)


@pytest.mark.parametrize("name", [(k, each) for k in SIZED for each in KINDS[k]], ids="-".join)
def test_sizes_given_in_python_are_whole_numbers_in_their_range(name):
    member = KINDS[name[0]][name[1]]
    for option, parameter in inspect.signature(member).parameters.items():
        depth, marker = whole_numbers(parameter.annotation), only_with(parameter.annotation)
        if depth is None or option in ("sets", "characters"):  # pairs and mappings
            continue
        wrong = [True, 2.5, "3", np.float64(2.5)]
        wrong += [] if option in COUNTED_FROM_THE_END else [-1]
        wrong += [] if option in ZERO else [0]
        others = {} if marker is None else {marker.option: marker.values[0]}
        for value in wrong:
            given = [value] if depth else value
            with pytest.raises(InputError, match=rf"\b{option}\b[.\w]*: found"):
                member(**{option: given}, **others)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(0), "^MLP: numbers: found 0, no categories and no sets; expected at least"),
        (lambda: Ensemble(0), "^Ensemble: numbers: found 0, no categories and no sets"),
        (lambda: Identity(0), "^Identity: numbers: found 0, no categories and no sets"),
        (lambda: TabularTransformer(0), "^TabularTransformer: numbers: found 0, no categories"),
        (lambda: MLP(3, expansions=[None]), "expansions: found 1, expected one for each of the 3"),
        (lambda: MLP(1, sets={"s": (0, "mean")}), "sets.s: found 0, expected a number > 0"),
        (lambda: MLP(1, sets={"s": (3, "max")}), "sets.s: found 'max', expected 'mean' or 'sum'"),
        (lambda: LSTM(), "^LSTM: vocabulary: found 0; expected how many tokens .* frames=WIDTH"),
        (lambda: Transformer(), "^Transformer: vocabulary: found 0; expected how many tokens"),
        (lambda: LSTM(5, frames=2), "vocabulary: found 5 beside frames: 2; expected one of them"),
        (lambda: BagLSTM(0), "^BagLSTM: vocabulary: found 0, expected a number > 0"),
        (lambda: Concat([]), r"^Concat: widths: found \[\], expected at least one entry"),
    ],
)
def test_an_encoder_of_nothing_is_refused_when_it_is_built(make, message):
    with pytest.raises(InputError, match=message):
        make()


# Choices of members from Python -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"type": "bag", "characters": 5}, r"^Text: encoder.characters: found 5, expected a list"),
        ({"type": "bag", "characters": [5]}, r"characters: found \[5\], expected more values"),
        ({"type": "bag", "characters": [5, 3]}, r"characters: found \[5, 3\], expected the small"),
        ({"type": "bag", "bucket": 4}, "encoder 'bag' has no option 'bucket'; .* 'buckets'"),
        ({"type": "lstm", "characters": {"long": 5}}, "encoder.characters.long: unknown; remove"),
        ({"type": "bag+lstm", "bag": {"characters": 5}}, "^Text: encoder.bag.characters: found 5"),
        ({"type": "bag+lstm", "lstm": "bag"}, "encoder.lstm: the encoder 'bag' does not fit here"),
        ({"type": None}, 'expected a name, or {"type": name, option: value'),
        ("bagg", "encoder: no encoder is named 'bagg'; did you mean 'bag'"),
    ],
)
def test_a_member_chosen_in_python_is_checked_as_in_a_config(encoder, message):
    with pytest.raises(InputError, match=message):
        Text("review", encoder=encoder)


def test_an_option_of_a_chosen_member_that_has_no_effect_is_refused():
    with pytest.raises(InputError, match=r"encoder\.frequencies: applies only with"):
        Vector("clip", encoder={"type": "mlp", "frequencies": 5})


def test_a_chosen_member_of_a_user_is_checked_where_it_is_made(monkeypatch):
    class Own:
        def __init__(self, size, *, own=None): ...

    monkeypatch.setitem(ENCODERS._own, "own", Own)
    Vector("clip", encoder={"type": "own", "own": object()})
