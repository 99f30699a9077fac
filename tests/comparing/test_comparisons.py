"""Whole comparisons of small tables: what is trained, chosen, read and written, and resumed."""

import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import in_process
from typer.testing import CliRunner

import motet
from motet.cli import app
from motet.comparing import estimating, settling
from motet.comparing.estimating import Cost
from motet.planning import local
from motet.problems import InputError

__all__ = ["in_process"]
CONFIG = {
    "tasks": {"a": "regression", "b": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [4]}},
    "training": {"epochs": 2, "batch_size": 64, "early_stopping": None},
}
BLOCKS = {
    "tasks": dict.fromkeys("abc", "regression"),
    "model": {"encoder": {"type": "mlp", "hidden": [8], "dropout": 0.0}},
    "training": {
        "epochs": 3,
        "batch_size": 32,
        "early_stopping": None,
        "analysis": {"every": 2, "layers": False},
        "optimizer": {"learning_rate": 0.03},
    },
}
ASKED = {"seeds": 2, "candidates": 3, "balancers": ["equal", "pcgrad"], "suggest": True}


def rows(count=200):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 2))
    noise = random.normal(size=(2, count))
    return {
        "x0": x[:, 0],
        "x1": x[:, 1],
        "a": x @ [1.0, -2.0] + noise[0],
        "b": x @ [1.0, 2.0] + noise[1],
    }


def blocks(count=200):
    """Tasks a and b measure the same columns, and c another one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 4))
    noise = 0.1 * random.normal(size=(2, count))
    columns = {f"x{place}": values for place, values in enumerate(x.T)}
    signal = x @ [1.0, -2.0, 0.0, 0.0]
    return columns | {"a": signal + noise[0], "b": signal + noise[1], "c": x[:, 3]}


@pytest.fixture(scope="module", autouse=True)
def _estimated_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimating, "SECONDS", 0.01)
        yield


class StoppedError(Exception):
    """Ends a comparison before its first run."""


def _stopped(*_, **__):
    raise StoppedError
    yield


@pytest.fixture
def never_trains(monkeypatch):
    monkeypatch.setattr(local, "carried_out", _stopped)


def interrupted_after(count):
    """Execute so many runs, as if Ctrl-C came then."""
    carried_out = local.carried_out

    def some(works, **options):
        yield from carried_out(works[:count], **options)
        raise KeyboardInterrupt

    return some


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A comparison that was interrupted after 4 runs and continued, and the lines of both.

    It does all that one with a suggestion does: further tests copy its folder, or ask it again.
    """
    lines = []
    asked = {"output": tmp_path_factory.mktemp("whole") / "compared", **ASKED, "say": lines.append}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "carried_out", interrupted_after(4))
        with pytest.raises(KeyboardInterrupt):
            motet.compare(BLOCKS, blocks(), **asked)
    return motet.compare(BLOCKS, blocks(), **asked), lines


def runs_of(comparison):
    return {each.name for each in (comparison.path / "runs").iterdir()}


def records_of(comparison, run):
    text = (comparison.path / "runs" / run / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def rows_tested(comparison, run):
    path = comparison.path / "runs" / run / "predictions/test.parquet"
    return set(pq.read_table(path)["row"].to_pylist())


def chosen_of(comparison):
    """The start of the names of the final models of the scalarisation."""
    (name,) = {
        each.rpartition("-seed")[0]
        for each in runs_of(comparison)
        if each.startswith("scalarisation") and "epochs" not in each
    }
    return name


def config_of(comparison, run):
    return motet.load(comparison.path / "runs" / run).config


# What is trained -----------------------------------------------------------------------------


def test_every_method_is_trained_with_every_seed(whole):
    methods = ["single", "single_equal_compute", "config", "pcgrad", "scalarisation"]
    methods += ["distilled", "groups"]
    assert list(whole[0].methods) == methods  # equal is the config's own balancer
    assert whole[0].repeats == (0, 1)
    finals = {each for each in runs_of(whole[0]) if "epochs" not in each}
    assert finals == {
        f"{model}-seed-{seed}"
        for seed in (0, 1)
        for model in (
            *("single-1.a", "single-2.b", "single-3.c"),
            *(f"single_equal_compute-{task}" for task in ("1.a", "2.b", "3.c")),
            *("config", "pcgrad", "distilled", "groups", chosen_of(whole[0])),
        )
    }


def test_runs_differ_in_their_method_and_seed_alone(whole):
    own, other = config_of(whole[0], "config-seed-0"), config_of(whole[0], "pcgrad-seed-1")
    assert other.balancing.type == "pcgrad"
    assert other.training.seed == 1
    assert other.data == own.data
    same = {"training": own.training, "balancing": own.balancing}
    assert other.model_copy(update=same) == own


def test_single_task_models_train_their_task_alone_for_as_many_steps(whole):
    single = config_of(whole[0], "single-1.a-seed-0")
    assert single.tasks["a"].options()["enabled"] is True
    assert single.tasks["b"].options()["enabled"] is False
    ran = whole[0].ran
    assert ran["single"].steps == 3 * ran["config"].steps
    share = json.loads((whole[0].path / "comparison.json").read_text())["settled"]["share"]
    assert 1 / 3 < share < 1  # each model alone has the whole encoder, and one of the heads
    assert ran["single_equal_compute"].steps == 3 * 5 * round(3 * share)


def test_candidates_are_chosen_on_validation_rows_alone(whole):
    comparison = whole[0]
    candidates = {each for each in runs_of(comparison) if "epochs" in each}
    assert len(candidates) == 3
    values = {}
    for each in candidates:
        path = comparison.path / "runs" / each
        assert not (path / "predictions").exists()
        records = records_of(comparison, each)
        assert all(record["event"] != "test" for record in records)
        values[each] = max(r["monitored"] for r in records if r["split"] == "validation")
    best = max(values, key=values.__getitem__)
    chosen = config_of(comparison, f"{chosen_of(comparison)}-seed-1")
    assert chosen.training.optimizer == config_of(comparison, best).training.optimizer
    assert chosen.balancing == config_of(comparison, best).balancing


def test_choices_are_written_before_test_rows_are_read(whole):
    comparison = whole[0]
    choices = json.loads((comparison.path / "choices.json").read_text())
    assert choices["best"] == comparison.best
    assert list(choices["validation"]) == list(comparison.methods)
    assert len(choices["candidates"]["scalarisation"]["all tasks"]) == 2
    written = (comparison.path / "choices.json").stat().st_mtime_ns
    assert written < (comparison.path / "results.parquet").stat().st_mtime_ns


# What is suggested ---------------------------------------------------------------------------


def test_tasks_share_in_the_groups_that_affinity_suggests(whole):
    for seed in (0, 1):
        own = config_of(whole[0], "config-seed-0")
        config = config_of(whole[0], f"groups-seed-{seed}")
        assert config.model.sharing.type == "hard"
        assert config.model.sharing.options()["groups"] == (("a", "b"), ("c",))
        assert config.training == own.training.model_copy(update={"seed": seed})
    assert whole[0].ran["groups"].what.endswith("affinity: a, b; c")
    assert whole[0].ran["groups"].steps == whole[0].ran["config"].steps


def test_groups_are_part_of_the_estimate(whole):
    settled = json.loads((whole[0].path / "comparison.json").read_text())["settled"]
    assert settled["costs"].keys() == whole[0].methods.keys()
    row = next(line for line in whole[1] if "groups" in line)
    assert "hard sharing within groups of tasks, which affinity suggests" in row


def test_the_single_task_models_teach_one_model_in_every_seed(whole):
    for seed in (0, 1):
        text = (whole[0].path / f"runs/distilled-seed-{seed}/config.yaml").read_text()
        for task in ("1.a", "2.b", "3.c"):
            assert f"single-{task}-seed-{seed}" in text


def test_the_choice_is_the_best_on_validation_rows_and_its_config_trains_it_again(whole, tmp_path):
    choices = json.loads((whole[0].path / "choices.json").read_text())
    several = choices["validation"].keys() - {"single", "single_equal_compute"}
    means = {name: np.mean(choices["validation"][name]) for name in several}
    choice = whole[0].suggestion.choice
    assert choices["suggestion"]["method"] == choice.method == max(means, key=means.get)
    assert choices["suggestion"]["shared"] == choice.shared != []
    shared = whole[0].suggestion.runs[choice.shared[0]]
    again = motet.train(whole[0].path / "suggested.yaml", output=tmp_path / "run")
    weights = [path / "model/model.safetensors" for path in (again.path, whole[0].path / shared)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert f"config     {whole[0].path / 'suggested.yaml'}" in str(whole[0])


def test_tasks_that_share_are_tested_once_against_single_task_models(whole):
    suggestion = whole[0].suggestion
    task = suggestion.choice.shared[0]
    metric = whole[0].metrics[task].name
    number = list(whole[0].metrics).index(task) + 1
    paths = (suggestion.runs[task], f"runs/single-{number}.{task}-seed-0")
    ours, alone = (
        motet.load(whole[0].path / each).evaluate(blocks(), split="test", tasks=[task])[task][
            metric
        ]
        for each in paths
    )
    test = suggestion.tests[task]
    assert test.difference == pytest.approx(ours - alone, abs=1e-6)
    assert test.bound < test.difference
    assert test.verdict == ("not worse" if test.p <= 0.05 else "cannot tell")
    assert f"tested     {task}: " in str(whole[0])


@pytest.mark.usefixtures("never_trains")
def test_a_smaller_margin_cannot_be_told_from_few_rows(whole):
    file = whole[0].path / "results.json"
    before = file.read_bytes()
    again = motet.compare(BLOCKS, blocks(), output=whole[0].path, margin=1e-6, **ASKED)
    saved = json.loads(file.read_text())["suggestion"]
    file.write_bytes(before)
    tests = again.suggestion.tests.values()
    assert all(each.verdict == "cannot tell" for each in tests if each.bound < -1e-6)
    assert saved["levels"] == {"margin": 1e-6, "error": 0.05}


# What is written -----------------------------------------------------------------------------


def test_the_table_of_results_has_every_metric_of_the_test_rows(whole):
    found = pq.read_table(whole[0].path / "results.parquet")
    assert found.column_names == ["task", "method", "seed", "metric", "value"]
    test = records_of(whole[0], "pcgrad-seed-1")[-1]
    row = pa.compute.and_(
        pa.compute.equal(found["method"], "pcgrad"), pa.compute.equal(found["seed"], 1)
    )
    of_run = found.filter(row).to_pylist()
    assert {(r["task"], r["metric"]): r["value"] for r in of_run} == {
        (task, metric): value
        for task, values in test["tasks"].items()
        for metric, value in values.items()
    }


def test_results_hold_means_intervals_changes_and_verdicts(whole):
    found = json.loads((whole[0].path / "results.json").read_text())
    result = found["methods"]["pcgrad"]
    assert found["baseline"] == "single"
    assert "positive is better" in found["convention"]
    assert result["tasks"]["a"].keys() >= {"mean", "low", "high", "delta", "p", "verdict"}
    assert result["delta_m"]["count"] == 2
    assert result["seconds"] > 0
    assert found["methods"]["single"]["tasks"]["a"]["verdict"] is None
    mean = np.mean(
        [
            row["value"]
            for row in whole[0].table.to_pylist()
            if (row["task"], row["method"], row["metric"]) == ("a", "pcgrad", "r2")
        ]
    )
    assert result["tasks"]["a"]["mean"] == pytest.approx(mean)


def test_a_comparison_prints_its_table_and_what_it_rests_on(whole):
    text = str(whole[0])
    for word in ("95 % interval", "verdict", "Delta_m", "mean rank", "pcgrad", "higher is better"):
        assert word in text
    assert "note       intervals are over seeds on one split" in text


def test_the_cost_is_printed_before_the_first_run(whole):
    lines = whole[1]
    estimate = next(i for i, line in enumerate(lines) if line.startswith("estimate"))
    first = next(i for i, line in enumerate(lines) if line.startswith("runs"))
    assert estimate < first
    assert "about" in lines[estimate]
    assert lines[first].endswith("left")


# Continuing ----------------------------------------------------------------------------------


def test_an_interrupted_comparison_continues_and_repeats_nothing(whole):
    lines = whole[1]
    stopped = next(i for i, line in enumerate(lines) if line.startswith("stopped"))
    assert f"--output {whole[0].path}" in lines[stopped]
    trained = re.findall(r"of \d+  (\S+)  finished", "\n".join(lines))
    assert sorted(trained) == sorted(runs_of(whole[0]))  # each once
    assert not any(line.startswith("estimate") for line in lines[stopped:])


@pytest.mark.usefixtures("never_trains")
def test_a_finished_comparison_is_read_without_training(whole):
    assert motet.compare(BLOCKS, blocks(), output=whole[0].path, **ASKED) == whole[0]


def test_a_folder_with_another_comparison_is_refused(whole):
    path = whole[0].path
    before = (path / "results.json").read_text()
    with pytest.raises(InputError, match="holds another comparison, with other balancers, seeds"):
        motet.compare(BLOCKS, blocks(), output=path, **{**ASKED, "seeds": 3, "balancers": []})
    with pytest.raises(InputError, match="holds other rows"):
        motet.compare(BLOCKS, blocks(199), output=path, **ASKED)
    assert (path / "results.json").read_text() == before


def test_a_folder_with_something_else_is_refused(whole):
    with pytest.raises(InputError, match="is not empty"):
        motet.compare(BLOCKS, blocks(), output=whole[0].path / "runs", **ASKED)


# Budgets -------------------------------------------------------------------------------------


@pytest.fixture
def a_minute_a_run(monkeypatch):
    monkeypatch.setattr(settling, "cost_of", lambda *_: Cost(60.0, 0.0))


@pytest.mark.usefixtures("a_minute_a_run", "never_trains")
@pytest.mark.parametrize(
    ("minutes", "found"),
    [
        (100, ""),  # 5 seeds x (2 + 2 + 1 + 1) + 27 + 9 + 3 candidates are 69 runs
        (40, "3 candidates instead of 27"),
        (24, "3 seeds instead of 5, 3 candidates instead of 27"),
    ],
)
def test_a_budget_leaves_out_candidates_first_and_then_seeds(tmp_path, minutes, found):
    lines = []
    config = {**CONFIG, "training": {**CONFIG["training"], "epochs": 9}}
    with pytest.raises(StoppedError):
        motet.compare(config, rows(), output=tmp_path / "c", minutes=minutes, say=lines.append)
    note = [line for line in lines if "to stay within" in line]
    assert [line.split(": ")[1] for line in note] == ([found] if found else [])


@pytest.mark.usefixtures("a_minute_a_run")
def test_a_budget_that_nothing_fits_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"minutes: found 5, but 2 seeds and 3 candidates take"):
        motet.compare(CONFIG, rows(), output=tmp_path / "c", minutes=5)
    assert not (tmp_path / "c").exists()


# Folds, sources, several methods ---------------------------------------------------------------


@pytest.mark.slow
def test_folds_are_the_repetitions(tmp_path):
    config = {**CONFIG, "data": {"split": {"folds": 2}}}
    asked = {"candidates": 0, "output": tmp_path / "c"}
    found = motet.compare(config, rows(), **asked)
    assert (found.unit, found.repeats) == ("fold", (1, 2))
    tested = [rows_tested(found, f"config-fold-{number}") for number in (1, 2)]
    assert tested[0] | tested[1] == set(range(200))
    assert not tested[0] & tested[1]
    assert "folds share training rows" in str(found)


@pytest.mark.slow
def test_learning_rates_are_chosen_for_every_single_task_model(tmp_path):
    found = motet.compare(
        CONFIG, rows(), output=tmp_path / "c", seeds=1, candidates=0, learning_rates=[1e-3, 1e-1]
    )
    chosen = found.ran["single"].chosen
    assert chosen.keys() == {"1.a", "2.b"}
    assert chosen["1.a"] == ("training.optimizer.learning_rate=0.1",)
    assert (
        config_of(found, "config-candidate-2-seed-0").training.optimizer.options()["learning_rate"]
        == 0.1
    )


@pytest.mark.slow
def test_one_seed_gives_no_verdict(tmp_path):
    found = motet.compare(
        CONFIG,
        rows(),
        output=tmp_path / "c",
        seeds=1,
        candidates=0,
        single_task=False,
        sharing=["mmoe"],
    )
    assert found.baseline == "config"
    assert found.methods["mmoe"].tasks["a"].verdict is None
    assert np.isfinite(found.methods["mmoe"].tasks["a"].delta)
    assert "one seed: no intervals, tests or verdicts" in str(found)


@pytest.mark.slow
def test_tasks_of_sources_of_different_sizes_get_as_many_steps(tmp_path):
    table = pa.table(rows())
    pq.write_table(table.drop(["b"]), tmp_path / "a.parquet")
    pq.write_table(table.drop(["a"]).slice(0, 60), tmp_path / "b.parquet")
    config = {
        **CONFIG,
        "data": {"sources": {n: {"source": str(tmp_path / f"{n}.parquet")} for n in "ab"}},
        "tasks": {n: {"type": "regression", "source": n} for n in "ab"},
        "training": {"epochs": 2, "batch_size": 16, "early_stopping": None},
    }
    found = motet.compare(config, output=tmp_path / "c", seeds=1, candidates=0)
    steps = {
        task: records_of(found, f"single-{task}-seed-0")[-1]["step"] for task in ("1.a", "2.b")
    }
    assert steps == {"1.a": 18, "2.b": 18}


@pytest.mark.slow
def test_a_method_that_fails_is_left_out_and_named(tmp_path, monkeypatch):
    carried_out = local.carried_out

    def failing(works, **options):
        for outcome in carried_out(works, **options):
            if outcome.name == "pcgrad-seed-1":
                outcome = type(outcome)(outcome.name, outcome.path, "failed", "it diverged")
            yield outcome

    monkeypatch.setattr(local, "carried_out", failing)
    found = motet.compare(
        CONFIG,
        rows(),
        output=tmp_path / "c",
        seeds=2,
        candidates=0,
        single_task=False,
        balancers=["pcgrad"],
    )
    assert list(found.methods) == ["config"]
    assert found.failed == {"pcgrad": "pcgrad-seed-1: it diverged"}
    assert "failed     pcgrad: pcgrad-seed-1: it diverged" in str(found)


@pytest.mark.slow
def test_a_method_whose_candidates_all_fail_has_no_result(tmp_path, monkeypatch):
    carried_out = local.carried_out

    def failing(works, **options):
        for outcome in carried_out(works, **options):
            if outcome.name.startswith("scalarisation"):
                outcome = type(outcome)(outcome.name, outcome.path, "failed", "it diverged")
            yield outcome

    monkeypatch.setattr(local, "carried_out", failing)
    asked = {"seeds": 1, "candidates": 3, "single_task": False}
    found = motet.compare(CONFIG, rows(), output=tmp_path / "c", **asked)
    assert found.failed["scalarisation"].startswith("all candidates failed, scalarisation-")


@pytest.mark.usefixtures("a_minute_a_run", "never_trains")
def test_tasks_that_begin_late_keep_their_epochs_in_every_round(tmp_path):
    late = ["tasks.b.enabled={from: 4}", "training.epochs=9"]
    lines = []
    with pytest.raises(StoppedError):
        motet.compare(CONFIG, rows(), late, output=tmp_path / "c", say=lines.append)
    settled = json.loads((tmp_path / "c" / "comparison.json").read_text())["settled"]
    assert settled["shortest"] == 9  # neither 1 nor 3 epochs reach task b


@pytest.mark.slow
def test_priorities_belong_to_the_balancer_that_reads_them(tmp_path):
    own = ["tasks.a.priority=high", "balancing=pcd"]
    asked = {"seeds": 1, "candidates": 0, "balancers": ["equal"]}
    found = motet.compare(CONFIG, rows(), own, output=tmp_path / "c", **asked)
    assert list(found.methods) == ["single", "single_equal_compute", "config", "equal"]
    assert config_of(found, "config-seed-0").tasks["a"].options()["priority"] == "high"


# Wrong input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"balancers": ["pcgra"]},
            r"balancers: no balancer is named 'pcgra'; did you mean 'pcgrad'",
        ),
        ({"balancers": "pcgrad"}, r"balancers: found 'pcgrad'; expected a list"),
        ({"sharing": ["mmo"]}, r"sharing: .*did you mean 'mmoe'"),
        ({"balancers": ["manual"]}, r"method 'manual': .*weights"),
        ({"balancers": [{"type": "cagrad", "d": 1}]}, r"method 'cagrad': .*d"),
        ({"seeds": 0}, r"seeds: found 0; expected a number >= 1"),
        ({"candidates": -1}, r"candidates: found -1"),
        ({"minutes": 0}, r"minutes: found 0"),
        ({"learning_rates": [0.0]}, r"learning_rates: found \[0.0\]"),
        ({"learning_rates": 0.1}, r"learning_rates: found 0.1; expected a list"),
        ({"overrides": ["tasks.b.enabled=false"]}, "found one main task, a; expected two or more"),
        ({"overrides": ["tasks.a.main=true"]}, "found one main task, a"),
        ({"overrides": ["data.split.test=0"]}, "found no test rows"),
        (
            {"overrides": ["data.split.folds=2"], "seeds": 3},
            r"seeds: found 3 beside split.folds: 2",
        ),
        ({"overrides": ["data.evaluate_test=false"]}, r"data.evaluate_test: found false"),
        ({"overrides": ["training.epoch=3"]}, r"did you mean `?.?epochs"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        motet.compare(CONFIG, rows(), output=tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


@pytest.mark.filterwarnings("ignore:monitor is 'mean', over 1 of 2 tasks")
@pytest.mark.usefixtures("a_minute_a_run", "never_trains")
def test_a_task_that_is_constant_in_the_validation_rows_is_named_before_any_run(tmp_path):
    split = np.resize(["train", "train", "validation", "test"], 200)
    data = rows() | {"set": split}
    data["b"] = np.where(split == "validation", 1.0, data["b"])
    config = CONFIG | {"data": {"split": {"column": "set"}}}
    with pytest.raises(InputError, match=r"data.split: no epoch of a single-task .* for b: .*r2"):
        motet.compare(config, data, output=tmp_path / "c", seeds=1, candidates=0)
    assert not (tmp_path / "c").exists()
    for fitting in ({"overrides": ["training.monitor=loss"]}, {"single_task": False}):
        with pytest.raises(StoppedError):
            motet.compare(config, data, output=tmp_path / "d", seeds=1, candidates=0, **fitting)
        shutil.rmtree(tmp_path / "d")


# The command line ------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(rows()), tmp_path / "rows.parquet")
    (tmp_path / "mine.yaml").write_text(json.dumps({**CONFIG, "data": {"source": "rows.parquet"}}))
    return "mine.yaml"


def test_the_command_compares_and_prints_the_table(file, tmp_path):
    arguments = ["--seeds", "1", "--candidates", "0", "--no-single"]
    found = CliRunner().invoke(app, ["compare", file, *arguments, "training.epochs=1"])
    assert found.exit_code == 0, found.output
    assert "verdict" in found.output
    assert "saved      runs/mine-compare-001" in found.output
    content = json.loads((tmp_path / "runs/mine-compare-001/results.json").read_text())
    assert content["baseline"] == "config"
    assert "<html" in (tmp_path / "runs/mine-compare-001/report.html").read_text()
