"""Every script in examples/ runs, and what it prints is what its docstring claims."""

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gloo import in_processes
from torch.testing import assert_close

from motet.registry import KINDS

EXAMPLES = Path(__file__).parent.parent / "examples"
NUMBER = r"(-?[\d,]+(?:\.\d+)?)"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs an example in an empty folder; returns what it printed, and leaves nothing behind."""

    def runs(name, seed=0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        assert not list(tmp_path.iterdir())
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    before = {kind: set(registry) for kind, registry in KINDS.items()}
    yield runs
    for kind, registry in KINDS.items():
        for name in set(registry) - before[kind]:
            registry._places.pop(name, None)  # a name may be in two tables
            registry.version += 1


def numbers(pattern, text):
    """The groups of every match, numbers where they are numbers."""
    found = re.findall(pattern.replace("#", NUMBER), text)
    assert found, f"{pattern!r} is not in what was printed:\n{text}"
    rows = [groups if isinstance(groups, tuple) else (groups,) for groups in found]
    return [tuple(_number(group) for group in row) for row in rows]


def _number(text):
    return float(text.replace(",", "")) if re.fullmatch(NUMBER, text) else text


def test_every_example_is_run_by_a_test_here():
    tests = Path(__file__).read_text(encoding="utf-8")
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    assert len(names) >= 11
    assert [name for name in names if f'run("{name}"' not in tests] == []


def test_the_basic_model_beats_a_predictor_that_ignores_the_inputs(run):
    text = run("basic_model")
    found = {
        (task, metric): (model, trivial, count)
        for task, metric, model, trivial, count in numbers(r"(kind|area)  (\w+) +# +# +(\d+)", text)
    }
    assert len(found) == 7
    for (_, metric), (model, trivial, _) in found.items():
        if metric in ("log_loss", "mae", "rmse"):
            assert model < trivial / 2
        else:
            assert model > trivial + 0.3
    assert found["kind", "accuracy"][2] < found["area", "r2"][2] == 500
    assert "first rows: {'kind': [" in text


def test_every_form_of_ranking_beats_a_random_order(run):
    text = run("ranking")
    found = numbers(r"(\w+) +ndcg # +ndcg@3 # +price r2 #", text)
    assert [form for form, *_ in found] == ["pointwise", "pairwise", "listwise"]
    ((random, at_3),) = numbers(r"random order +ndcg # +ndcg@3 #", text)
    for _, ndcg, cut, r2 in found:
        assert ndcg > random + 0.2
        assert cut > at_3 + 0.3
        assert r2 > 0.8


def test_a_task_that_is_off_costs_nothing_and_changes_nothing_for_the_others(run):
    text = run("task_independence")
    for line in (
        "active: size, warm",
        "predicted: size, warm",
        "largest difference in the others: 0.0",
        "trained: size, warm",
        "head of depth unchanged: True",
        "active again: size, warm, depth",
        "trained again: size, warm, depth",
    ):
        assert line in text.splitlines()
    [(accuracy, count)] = numbers(r"warm alone: .*'accuracy': #.*'count': #", text)
    assert accuracy > 0.9
    assert count == 800


def test_weights_follow_the_hand_and_learned_noise_is_the_true_noise(run):
    text = run("static_and_dynamic_balancing")
    by_hand = numbers("manual +precise # noisy #", text)
    assert by_hand == [(1.0, 1.0), (1.0, 0.5), (1.0, 0.1)]
    learned = numbers("uncertainty precise # noisy #", text)
    assert len(set(learned)) == len(learned) == 10
    noise = numbers("(precise|noisy): learned noise #, true noise #", text)
    assert len(noise) == 2
    for (_, found, true), weight in zip(noise, learned[-1], strict=True):
        assert found == pytest.approx(true, rel=0.15)
        assert weight == pytest.approx(1 / (2 * true**2), rel=0.3)


def test_a_head_of_ones_own_keeps_its_promise_where_a_plain_one_does_not(run):
    found = numbers(r"(\w+): R2 #, lowest price #", run("custom_head"))
    assert [task for task, _, _ in found] == ["plain", "by_class", "by_name"]
    assert all(r2 > 0.8 for _, r2, _ in found)
    plain, by_class, by_name = (lowest for _, _, lowest in found)
    assert plain < 0 <= min(by_class, by_name)


def test_yaml_mapping_and_python_give_the_same_model_to_the_last_bit(run):
    text = run("from_config", seed=1)
    found = numbers(r"([\w ]+): score #, equals yaml: (\w+)", text)
    assert [(way, equal) for way, _, equal in found] == [
        ("yaml", "True"),
        ("mapping", "True"),
        ("python", "True"),
        ("other seed", "False"),
    ]
    assert all(score > 0.8 for _, score, _ in found)
    assert run("from_config", seed=2) == text  # whatever torch's own generator stands at


def test_the_loop_written_by_hand_learns_and_its_saved_model_is_the_same(run):
    text = run("full_loop")
    epochs = numbers("epoch #  weights: kind #  area #  accuracy #  R2 #", text)
    assert [epoch for epoch, *_ in epochs] == [1, 2, 3, 4, 5]
    assert len({tuple(weights) for _, *weights, _, _ in epochs}) == 5
    assert epochs[-1][3] > 0.85
    assert epochs[-1][4] > 0.95
    assert "loaded model equal: {'kind': True, 'area': True}" in text


def test_processes_with_heads_in_plain_ddp_train_the_model_of_one_process(run):
    steps = numbers("step #: loss of sum # product #", run("several_processes"))
    assert [step for step, *_ in steps] == [1, 60]
    assert steps[1][1] < 0.1 * steps[0][1]
    train = runpy.run_path(str(EXAMPLES / "several_processes.py"))["train"]
    expected = train(5)
    for found in in_processes(2, train, 5):
        assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Lightning's own
def test_two_tasks_in_conflict_learn_in_lightning(lightning, run):
    text = run("lightning_loop")
    losses = numbers(r"(\w+): loss # -> #", text)
    assert [task for task, *_ in losses] == ["kind", "area"]
    assert all(after < before / 2 for _, before, after in losses)
    [(conflicts, steps)] = numbers("in conflict at # of # steps", text)
    assert 0 < conflicts < steps == 100


def test_two_tasks_learn_in_accelerate(transformers, run):
    text = run("accelerate_loop")
    losses = numbers(r"(\w+): loss # -> #", text)
    assert [task for task, *_ in losses] == ["kind", "area"]
    assert all(after < before / 2 for _, before, after in losses)
    [(conflicts, steps)] = numbers("in conflict at # of # steps", text)
    assert 0 < conflicts < steps == 50


@pytest.mark.slow
def test_two_tasks_learn_in_hugging_face(transformers, run):
    text = run("hugging_face_loop")
    scores = numbers(r"(accuracy|r2): # -> #", text)
    assert len(scores) == 2
    assert all(after > max(before + 0.3, 0.6) for _, before, after in scores)


def test_a_balancer_of_ones_own_does_what_its_one_method_says(run):
    text = run("custom_balancer")
    epochs = numbers("easy loss # weight #  hard loss # weight #", text)
    assert len(epochs) == 6
    for easy_loss, easy_weight, hard_loss, hard_weight in epochs:
        assert easy_loss < hard_loss
        assert easy_weight < hard_weight
        assert easy_weight + hard_weight == pytest.approx(1, abs=2e-3)
    assert "balancing: smooth_worst" in text
    assert numbers("R2 of easy: #", text)[0][0] > 0.9


def test_a_type_of_task_of_ones_own_predicts_inside_its_range(run):
    found = numbers("(eaten|plain): R2 #, from # to #", run("custom_task"))
    ranges = {task: (low, high) for task, _, low, high in found}
    assert all(r2 > 0.8 for _, r2, _, _ in found)
    assert 0 <= ranges["eaten"][0] < ranges["eaten"][1] <= 1
    assert ranges["plain"][0] < 0 or ranges["plain"][1] > 1


def test_an_encoder_of_ones_own_multiplies_columns(run):
    scores = dict(numbers("(product|price): R2 #", run("custom_encoder")))
    assert scores["product"] > 0.8
    assert scores["price"] > 0.9


@pytest.mark.parametrize("member", ["balancer", "task", "encoder"])
def test_a_member_of_ones_own_takes_less_than_30_lines(member):
    source = (EXAMPLES / f"custom_{member}.py").read_text(encoding="utf-8")
    classes = [each for each in ast.parse(source).body if isinstance(each, ast.ClassDef)]
    lines = [each.end_lineno - each.decorator_list[0].lineno + 1 for each in classes]
    assert 0 < sum(lines) + 1 < 30  # and its registration


def test_rows_of_a_database_train_resume_and_predict_by_the_name_of_the_source(run):
    text = run("custom_source")
    [(score,)] = numbers("score: #", text)
    assert score > 0.5
    assert "resumed run equals the whole one: True" in text
    assert "first row: " in text


def test_images_have_a_branch_of_the_model_and_survive_a_resume(run):
    text = run("custom_input")
    [(accuracy, constant)] = numbers(r"accuracy: # \(a constant: #\)", text)
    assert accuracy > constant + 0.2
    assert numbers("brightness R2: #", text)[0][0] > 0.5
    assert "resumed run equals the whole one: True" in text
    assert "images: (800, 1, 8, 8)" in text


def test_a_kind_of_label_of_ones_own_trains_from_a_config_and_resumes(run):
    text = run("custom_label_kind")
    [(accuracy, constant)] = numbers(r"pixel accuracy: # \(a constant: #\)", text)
    assert accuracy > constant + 0.1
    assert numbers("brightness R2: #", text)[0][0] > 0.5
    assert "resumed run equals the whole one: True" in text


def test_digits_are_read_from_images_and_parity_from_half_its_labels(run):
    text = run("digits")
    found = {
        (task, metric): (model, trivial)
        for task, metric, model, trivial in numbers(
            r"(\w+) (\w+): # \(ignoring the image #\)", text
        )
    }
    for judged in (("digit", "accuracy"), ("parity", "accuracy"), ("mass", "r2")):
        model, trivial = found[judged]
        assert model > max(0.8, trivial + 0.3)
    assert found["mass", "mae"][0] < found["mass", "mae"][1] / 2
    assert numbers("training images: # with parity: #", text) == [(1100, 550)]


def test_without_scikit_learn_the_digits_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match="pip install scikit-learn"):
        runpy.run_path(str(EXAMPLES / "digits.py"), run_name="__main__")


def test_standardised_prices_are_learned_and_judged_in_euros(run):
    text = run("regression_and_classification")
    (raw, trivial), (scaled, again) = numbers(r"price MAE # euros \(trivial #\)", text)
    assert again == pytest.approx(trivial, abs=1)
    assert 8_000 < scaled < trivial / 3  # the noise alone makes 8,000
    assert raw > trivial > 10_000
    for accuracy, of_trivial in numbers(r"sold accuracy # \(trivial #\)", text):
        assert accuracy > of_trivial + 0.2
    [(rows, price, sold)] = numbers("test rows #, with price #, with sold #", text)
    assert max(price, sold) < rows == 500


def test_three_tasks_are_judged_by_functions_on_numpy_arrays(run):
    text = run("three_tasks_with_metrics")
    scores = dict(numbers(r"(\w+): score #", text))
    assert set(scores) == {"interests", "customer", "spend"}
    assert min(scores.values()) > 0.5
    [(accuracy, top_two)] = numbers("accuracy #, in_top_two #", text)
    assert 1 >= top_two > accuracy > 0.8
    [(all_right,)] = numbers("all_right #", text)
    [(within_one,)] = numbers("within_one #", text)
    assert min(all_right, within_one) > 0.6
    for task in scores:
        [(line,)] = numbers(f"{task} losses: (.*)", text)
        first, *_, last = map(float, line.split())
        assert last < first


@pytest.mark.slow
def test_every_strategy_of_transfer_is_carried_out_after_both_tasks(run, monkeypatch):
    few = ["--seeds", "2", "--few", "40", "--epochs", "5", "--rows", "200"]
    monkeypatch.setattr(sys, "argv", ["transfer_strategies.py", *few])
    found = numbers(r"\| ([a-z ]+) \| # ± # \| # ± # \|", run("transfer_strategies"))
    assert [strategy for strategy, *_ in found] == [
        "from scratch",
        "entire network",
        "backbone frozen",
        "gradual unfreezing",
        "selective",
        "layer decay",
    ]
    assert all(0 < mean < 1 for _, *cells in found for mean in cells[::2])
    (scratch, *others) = found
    assert scratch[1:3] == scratch[3:]  # it knows of neither task
    assert all(cells[:2] != cells[2:] for _, *cells in others)


def test_numpy_goes_in_and_out_without_torch_in_the_users_code(run):
    text = run("numpy_only")
    for _, _, model, trivial in numbers(r"(\w+) (\w+): # \(trivial #\)", text):
        assert model > trivial + 0.15
    assert len(numbers(r"loads: \[.*\] alarms: \[.*\]", text)) == 1

    tree = ast.parse((EXAMPLES / "numpy_only.py").read_text(encoding="utf-8"))
    statements = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    imported = {alias.name for node in statements for alias in node.names}
    assert imported == {"tempfile", "numpy", "motet"}


def test_the_penalty_in_a_plain_loop_brings_gradients_nearer_to_each_other(run):
    text = run("gradient_ratio")
    (alpha, plain), (default, penalised) = numbers("alpha #: longer gradient # times", text)
    assert (alpha, default) == (0, 0.12)
    assert plain > 1.2 * penalised > 1.2
    losses = numbers(r"(\w+) loss # \(mean #\)", text)
    assert [task for task, *_ in losses] == ["fine", "coarse"] * 2
    assert all(loss < of_mean / 5 for _, loss, of_mean in losses)
    assert all(low[1] < high[1] for low, high in zip(losses[:2], losses[2:], strict=True))


def test_a_scheduler_of_your_own_trains_and_is_chosen_by_name(run):
    text = run("custom_scheduler")
    assert "scheduling: alternate {'steps': 2, 'combine': None}" in text
    assert all(r2 > 0.9 for (r2,) in numbers(r"R2 #", text))
    assert "{'a': 6, 'b': 4} first: a a b b" in text


def test_an_auxiliary_task_of_your_own_trains_beside_and_is_not_predicted(run):
    text = run("custom_auxiliary_task")
    ((first, last),) = numbers("cells: loss #, then #", text)
    assert last < 0.85 * first
    assert "predicted: price\n" in text
    assert numbers("price: R2 #", text)[0][0] > 0.9


@pytest.mark.slow
def test_dates_are_written_in_the_form_of_the_labels(run):
    text = run("dates")
    ((right, perplexity),) = numbers("right: #, perplexity: #", text)
    assert right > 0.8
    assert 1 < perplexity < 1.2
    assert numbers("season: #", text)[0][0] > 0.95
    assert re.search(r"\d\d+: \d{4}-\d\d-\d\d\n", text)


def test_a_product_learns_purchases_after_clicks_from_all_rows(run):
    found = dict(numbers(r"(\w[\w ]+): mean error #", run("clicks")))
    assert set(found) == {"product", "clicked rows alone"}
    assert max(found.values()) < 0.08


FSDP_LOOP = r"(a|b): loss # -> #"


def test_the_fsdp_loop_learns_in_one_process(run):
    text = run("fsdp_loop")
    assert all(after < before / 2 for _, before, after in numbers(FSDP_LOOP, text))


@pytest.mark.slow
def test_the_fsdp_loop_prints_the_same_for_any_number_of_processes(run):
    script, environment = EXAMPLES / "fsdp_loop.py", os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", str(script)]
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    assert found.stdout == run("fsdp_loop")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tasks"), [("digit_pairs", ("left", "right")), ("digits_cnn", ("digit", "parity"))]
)
def test_projects_on_images_print_both_tasks_beside_each_alone(run, monkeypatch, name, tasks):
    monkeypatch.setattr(sys, "argv", [name, "--seeds", "1"])
    text = run("digit_pairs") if name == "digit_pairs" else run("digits_cnn")
    found = numbers(r"mean +(\w+) +both # +alone #", text)
    assert [task for task, _, _ in found] == list(tasks)
    assert min(score for _, *scores in found for score in scores) > 0.9


@pytest.mark.slow
def test_the_project_on_labels_of_pixels_prints_both_tasks_beside_each_alone(run, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["digits_segmentation", "--seeds", "1"])
    text = run("digits_segmentation")
    assert [way for way, _ in numbers(r"(both|alone) +#  of 1 seeds", text)] == [
        "both",
        "alone",
    ] * 2
    assert min(value for _, value in numbers(r"digit +mean_iou +(\w+) +#", text)) > 0.3
    assert max(value for _, value in numbers(r"distance +mae +(\w+) +#", text)) < 0.6


@pytest.mark.slow
def test_five_modalities_are_fused_in_groups_and_any_of_them_may_be_missing(run):
    text = run("five_modalities")
    found = numbers(r"(all|\w+ alone): mood accuracy #, energy r2 #", text)
    scores = {name: (accuracy, r2) for name, accuracy, r2 in found}
    assert scores["all"][0] > 0.9
    assert scores["all"][1] > 0.5
    assert scores["transcript alone"][0] > 0.8 > scores["video alone"][0]
    assert scores["video alone"][1] > 0.3 > scores["transcript alone"][1]
    weights = dict(numbers(r"weight of (\w+): #", text))
    assert list(weights) == ["transcript", "image", "video", "speech", "music"]
    assert sum(weights.values()) == pytest.approx(1, abs=0.003)


def test_a_fusion_of_ones_own_learns_what_features_side_by_side_cannot(run):
    text = run("custom_fusion")
    found = dict(numbers(r"(\w+): accuracy #", text))
    assert found["products"] > 0.8 > found["concat"]
    assert dict(numbers(r"(\w+), left alone: size r2 #", text))["products"] > 0.7


def test_an_encoder_of_ones_own_reads_all_inputs_at_once(run):
    text = run("custom_joint_encoder")
    found = dict(numbers(r"(\w[\w ]+): accuracy #", text))
    assert found["conditioned"] > 0.9 > 0.7 > found["side by side"]
    assert text.count("loaded run predicts the same: True") == 2


@pytest.mark.slow
def test_sharing_helps_where_labels_are_few(run):
    text = run("does_sharing_help")
    assert "estimate   about" in text
    verdicts = re.findall(r"sharing on (?:scale|survey): (.*), change", text)
    assert "helps" in verdicts
    assert "hurts" not in verdicts
