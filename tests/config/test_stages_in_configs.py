"""Stages of balancing in a config: forms, errors with their place, overrides."""

import pickle

import pytest

from motet.config import Config, ConfigError, read

TASKS = "tasks: {a: regression, b: regression}\n"
COMMON = {"scale": "sum", "losses": None, "unit": False, "every": 1, "momentum": 0.0}


def config(tmp_path, text, overrides=()):
    file = tmp_path / "config.yaml"
    file.write_text(TASKS + text)
    return read(file, overrides)[0]


def test_stages_are_members_with_an_end(tmp_path):
    found = config(tmp_path, "balancing: [{until: 5, type: equal}, pcgrad]")
    assert [(stage.type, stage.until) for stage in found.stages] == [("equal", 5), ("pcgrad", None)]
    assert found.stages[1].options() == {"seed": 0, **COMMON}
    assert read(found.model_dump(mode="json"))[0] == found


def test_one_balancer_is_one_stage(tmp_path):
    found = config(tmp_path, "balancing: pcgrad")
    assert found.stages == (found.balancing,)


@pytest.mark.parametrize("text", ["{}", "[{{until: 2, type: equal}}, {}]"])
def test_how_to_go_back_stands_beside_a_balancer_s_options(text, tmp_path):
    given = "{type: pcgrad, seed: 1, heads: weighted, at: representation}"
    found = config(tmp_path, "balancing: " + text.format(given)).stages[-1]
    assert (found.heads, found.at, found.memory) == ("weighted", "representation", None)
    assert found.options() == {"seed": 1, **COMMON}


@pytest.mark.parametrize(
    ("balancing", "problem"),
    [
        ("[equal, mgda]", "2:13  balancing.0.until: missing, expected the last epoch of the stage"),
        ("[{type: equal}, mgda]", "2:13  balancing.0.until: missing"),
        (
            "[{until: 5, type: equal}, {until: 4, type: mgda}, log]",
            "2:46  balancing.1.until: found 4",
        ),
        (
            "[{until: 5, type: equal}, {type: mgda, until: 7}]",
            "balancing.1.until: found 7, expected no",
        ),
        (
            "[{until: 0, type: equal}, mgda]",
            "2:21  balancing.0.until: found 0, expected a number > 0",
        ),
        (
            "[{until: 20, type: equal}, mgda]",
            "2:21  balancing.0.until: .* expected an epoch before 20",
        ),
        ("[{until: 5, type: equal}, {type: pcgrd}]", "2:45  .*did you mean 'pcgrad'"),
        ("[{until: 5, type: equal}, pcgrd]", "2:38  .*did you mean 'pcgrad'"),
        ("[{until: 5, type: pcgrad, sed: 1}, log]", "2:38  balancing.0.sed: unknown key; .*'seed'"),
        ("[{until: 5, typ: pcgrad}, log]", "balancing.0: found a mapping without `type`"),
        ("{type: pcgrad, until: 3}", "balancing.until: unknown key"),
        ("{type: pcgrad, memory: lo}", "2:35  balancing.memory: found 'lo', .*'low'"),
        ("[]", "balancing: found \\[\\], expected at least one"),
    ],
)
def test_a_wrong_stage_is_told_with_its_place(balancing, problem, tmp_path):
    with pytest.raises(ConfigError, match=problem):
        config(tmp_path, f"balancing: {balancing}")


def test_overrides_replace_stages_and_make_them(tmp_path):
    stages = "balancing: [{until: 5, type: equal}, {type: pcgrad, seed: 3}]"
    assert config(tmp_path, stages, ["balancing.type=mgda"]).balancing.type == "mgda"
    assert config(tmp_path, stages, ["balancing=upgrad"]).balancing.type == "upgrad"
    made = config(tmp_path, "", ["balancing=[{until: 2, type: equal}, pcgrad]"])
    assert [stage.type for stage in made.stages] == ["equal", "pcgrad"]


def test_stages_can_be_given_from_python():
    found = Config(tasks={"a": "regression"}, balancing=[{"until": 1, "type": "equal"}, "log"])
    assert found.stages[0].until == 1
    with pytest.raises(ConfigError, match=r"balancing\.1\.x: unknown key"):
        Config(tasks={"a": "regression"}, balancing=["equal", {"type": "log", "x": 1}])


@pytest.mark.parametrize(
    "balancing", ["log", {"type": "log"}, [{"until": 5, "type": "log"}, "log"]]
)
def test_the_json_schema_knows_stages(balancing, for_editors):
    for_editors.validate({"tasks": {"a": "regression"}, "balancing": balancing})


def test_a_config_with_stages_can_be_pickled(tmp_path):
    found = config(tmp_path, "balancing: [{until: 5, type: equal}, pcgrad]")
    assert pickle.loads(pickle.dumps(found)) == found
