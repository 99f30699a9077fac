"""A loss balancer inside another balancer, in a config: forms, errors with their place, schema."""

import pytest

from motet.config import ConfigError, read

TASKS = "tasks: {a: regression, b: regression}\n"


def config(tmp_path, text, overrides=()):
    file = tmp_path / "config.yaml"
    file.write_text(TASKS + text)
    return read(file, overrides)[0]


@pytest.mark.parametrize(
    "losses", ["{type: dwa, window: 3}", "{type: dwa, window: 3, unit: epoch}"]
)
@pytest.mark.parametrize("text", ["{}", "[{{until: 2, type: equal}}, {}]"])
def test_the_balancer_inside_is_a_member_with_options(text, losses, tmp_path):
    given = f"{{type: pcgrad, unit: true, losses: {losses}}}"
    found = config(tmp_path, "balancing: " + text.format(given))
    options = found.stages[-1].options()
    assert options["losses"] == {"type": "dwa", "temperature": 2, "window": 3, "unit": "epoch"}
    assert options["unit"]
    assert read(found.model_dump(mode="json"))[0] == found


def test_a_name_alone_is_the_balancer_with_its_defaults(tmp_path):
    for overrides in (["balancing.losses=dwa"], ["balancing.losses.type=dwa"]):
        found = config(tmp_path, "balancing: {type: pcgrad}", overrides)
        assert found.balancing.options()["losses"]["window"] == 2
    found = config(tmp_path, "balancing: {type: pcgrad, losses: dwa}")
    assert found.balancing.options()["losses"]["window"] == 2
    found = config(tmp_path, "balancing: {type: pcgrad, losses: null}")
    assert found.balancing.options()["losses"] is None


@pytest.mark.parametrize(
    ("losses", "problem"),
    [
        ("dwaa", "2:35  balancing.losses: found 'dwaa', .*did you mean 'dwa'"),
        ("{type: dwaa}", "2:42  balancing.losses.type: found 'dwaa', .*did you mean 'dwa'"),
        ("{type: dwa, windw: 2}", "balancing.losses.windw: unknown key; did you mean 'window'"),
        ("{type: dwa, window: a}", "balancing.losses.window: found 'a', expected a whole number"),
        ("{window: 2}", "balancing.losses: found a mapping without `type`"),
        ("pcgrad", "balancing.losses: the balancer 'pcgrad' does not fit here; known: equal"),
        ("{type: mgda}", "balancing.losses: the balancer 'mgda' does not fit here"),
    ],
)
def test_a_wrong_balancer_inside_is_reported_with_its_place(losses, problem, tmp_path):
    with pytest.raises(ConfigError, match=problem):
        config(tmp_path, f"balancing: {{type: pcgrad, losses: {losses}}}")


def test_a_loss_balancer_has_none_inside(tmp_path):
    with pytest.raises(ConfigError, match=r"balancing\.losses: unknown key"):
        config(tmp_path, "balancing: {type: dwa, losses: equal}")


@pytest.mark.parametrize(
    ("losses", "fits"),
    [
        (None, True),
        ("dwa", True),
        ({"type": "dwa", "window": 3}, True),
        ("pcgrad", False),
        ({"type": "pcgrad"}, False),
        ({"type": "dwa", "windw": 3}, False),
    ],
)
def test_the_schema_accepts_what_a_config_may_have(losses, fits, for_editors):
    data = {
        "tasks": {"a": "regression", "b": "regression"},
        "balancing": {"type": "pcgrad", "losses": losses},
    }
    assert for_editors.is_valid(data) == fits
