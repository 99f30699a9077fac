"""Exports of runs: files that predict what the run predicts, or no file and one clear error."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

import motet
from motet import extras
from motet.export import formats
from motet.export.checking import ExportError
from motet.problems import InputError
from motet.training.evaluation import predict
from tests.run.export_rows import MODELS, OF_IMAGES, OF_WORDS, TASKS, rows
from tests.run.small_runs import CONFIG
from tests.run.small_runs import rows as small_rows

TRAINING = {"epochs": 1, "batch_size": 64, "device": "cpu"}
ONNX = "not installed: pip install 'motet[export]'"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a file, which an export reads again."""
    path = tmp_path_factory.mktemp("exports")
    pa.parquet.write_table(pa.table(small_rows()), path / "rows.parquet")
    config = {**CONFIG, "data": {"source": str(path / "rows.parquet")}}
    return motet.train(config, output=path / "run")


@pytest.fixture(scope="module")
def exported(run):
    return run.export("torch")


def test_a_program_predicts_any_number_of_rows_as_the_run_does(run, exported):
    assert exported.rows == 200
    assert exported.path == run.path / "export" / "model.pt2"
    program = torch.export.load(exported.path).module()
    for count in (1, 2, 77):
        given = {name: column[:count] for name, column in small_rows().items()}
        arrays = run.preprocess(given)
        found = program({name: torch.as_tensor(each) for name, each in arrays.items()})
        assert [*found] == ["a", "a_probability", "b"]
        expected = run.predict(given)
        np.testing.assert_allclose(found["b"], expected["b"].to_numpy(), rtol=1e-5)
        names = [["no", "yes"][place] for place in found["a"]]
        assert names == expected["a"].to_pylist()
        np.testing.assert_allclose(
            found["a_probability"][:, 1], expected["a_probability_yes"].to_numpy(), rtol=1e-5
        )


def test_the_file_beside_a_model_describes_inputs_outputs_and_preprocessing(run, exported):
    beside = run.path / "export" / "model.pt2.json"
    assert exported.files == (exported.path, beside)
    found = json.loads(beside.read_text())
    (given,) = found["inputs"]
    assert given["shape"] == ["batch", 3]
    assert given["columns"] == ["x0", "x1", "x2"]
    assert [each["name"] for each in found["outputs"]] == ["a", "a_probability", "b"]
    assert found["outputs"][0]["classes"] == ["no", "yes"]
    learned = found["preprocessing"]["x0"]
    scaled = (small_rows()["x0"] - learned["fitted"]["mean"]) / learned["fitted"]["std"]
    np.testing.assert_allclose(run.preprocess(small_rows())["numbers"][:, 0], scaled, rtol=1e-5)
    assert str(run.path) not in beside.read_text()


def test_the_command_exports_chosen_tasks_and_reports_how_far_predictions_are_apart(
    run, tmp_path, capsys
):
    from motet.cli import app

    path = tmp_path / "own.pt2"
    given = ["export", str(run.path), "--format", "torch", "--tasks", "b", "-o", str(path)]
    app(given, prog_name="motet", standalone_mode=False)
    difference, *lines = capsys.readouterr().out.splitlines()
    assert difference.startswith("b          greatest difference")
    assert lines == ["compared   200 rows", f"wrote      {path}", f"wrote      {path}.json"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["own.pt2", "own.pt2.json"]
    (output,) = json.loads((tmp_path / "own.pt2.json").read_text())["outputs"]
    assert output["name"] == "b"


def test_nothing_takes_the_place_of_another_file(run, tmp_path):
    path = tmp_path / "own.pt2"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"own\.pt2 exists; name another"):
        run.export("torch", path)
    with pytest.raises(InputError, match=r"ends in \.onnx, expected \.pt2"):
        run.export("torch", tmp_path / "own.onnx")
    assert path.read_text() == "mine"


def test_a_description_that_is_there_stays(run, tmp_path):
    (tmp_path / "own.pt2.json").write_text("mine")
    with pytest.raises(InputError, match=r"own\.pt2\.json exists"):
        run.export("torch", tmp_path / "own.pt2")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["mine"]


def test_an_export_that_predicts_something_else_leaves_no_file(run, tmp_path, monkeypatch):
    opened = formats.FORMATS["torch"].open

    def shifted(path):
        compute = opened(path)
        return lambda given: {name: each + 1 for name, each in compute(given).items()}

    wrong = formats.Format(".pt2", (), formats.FORMATS["torch"].write, shifted)
    monkeypatch.setitem(formats.FORMATS, "torch", wrong)
    with pytest.raises(ExportError, match="does not predict what the run predicts: a: 201 of 201"):
        run.export("torch", tmp_path / "model.pt2")
    assert [*tmp_path.iterdir()] == []


def test_packages_that_are_missing_are_named_with_what_installs_them(run, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"onnxruntime, which are not .* \"motet\[export"):
        run.export("onnx")
    with pytest.raises(InputError, match="format: found 'onxn'; did you mean 'onnx'"):
        run.export("onxn")


def test_rows_that_cannot_be_read_again_are_asked_for(tmp_path):
    run = motet.train(CONFIG, data=small_rows(), output=tmp_path / "run")
    with pytest.raises(InputError, match=r"compared with the run on rows .* give some: --rows"):
        run.export("torch")


def test_several_models_in_one_run_are_refused(run, tmp_path):
    both = motet.ensemble([run.path, run.path], output=tmp_path / "both")
    with pytest.raises(InputError, match=r"several models .* run\.members\[0\]\.export"):
        both.export("torch")


def test_generated_texts_are_refused_with_the_reason(run, monkeypatch):
    monkeypatch.setattr(run.model.tasks["a"], "kind", "generation", raising=False)
    with pytest.raises(InputError, match=r"token by token, .* export the others: tasks=b"):
        run.export("torch")


# ONNX -------------------------------------------------------------------------------------------


def computed(path, given):
    """What onnxruntime computes of preprocessed rows."""
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    flat = {}

    def collect(tree, names):
        if isinstance(tree, dict):
            for name, each in tree.items():
                collect(each, (*names, name))
        elif isinstance(tree, np.ndarray | torch.Tensor):
            flat[".".join(names)] = np.asarray(tree)
        else:  # rows of different length, or images
            collect(tree[0 : len(tree)], names)

    collect(given, ())
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, flat), strict=True))


def exported_equally(config, path, count):
    """Train, export as ONNX, and compare with what the run itself predicts for all rows."""
    pytest.importorskip("onnxruntime", reason=ONNX)
    pytest.importorskip("onnxscript", reason=ONNX)
    table = rows(count)
    run = motet.train({"training": TRAINING, **config}, data=table, output=path / "run")
    found = run.export("onnx", path / "model.onnx", rows=table)
    assert found.rows == count
    given = run.preprocess(table)
    predicted = computed(path / "model.onnx", given)
    expected = predict(run.model, run.reader.data(given, {}), batch_size=100)
    for task, each in expected.items():
        same = predicted[task]
        if each.value.is_floating_point():
            scale = float(each.value[~each.value.isnan()].abs().max())
            np.testing.assert_allclose(same, each.value, rtol=0, atol=1e-4 * scale)
        else:
            assert (same != np.asarray(each.value)).mean() < 0.001
        if each.probabilities is not None:
            np.testing.assert_allclose(
                predicted[f"{task}_probability"], each.probabilities, atol=1e-4
            )
    return run, found


@pytest.mark.slow
def test_tasks_may_have_the_names_of_operations_and_methods(tmp_path):
    pytest.importorskip("onnxruntime", reason=ONNX)
    pytest.importorskip("onnxscript", reason=ONNX)
    tasks = {
        "linear": {"type": "regression", "column": "b"},
        "add": {"type": "regression", "column": "x0"},
    }
    run = motet.train({**CONFIG, "tasks": tasks}, data=small_rows(), output=tmp_path / "run")
    found = run.export("onnx", tmp_path / "model.onnx", rows=small_rows())
    predicted = computed(found.path, run.preprocess(small_rows()))["linear"]
    expected = run.predict(small_rows())["linear"].to_numpy()
    np.testing.assert_allclose(predicted, expected, rtol=1e-4)


@pytest.mark.slow
def test_onnx_computes_what_the_run_predicts(run, tmp_path):
    pytest.importorskip("onnxruntime", reason=ONNX)
    pytest.importorskip("onnxscript", reason=ONNX)
    found = run.export("onnx", tmp_path / "model.onnx")
    predicted = computed(found.path, run.preprocess(small_rows()))
    expected = run.predict(small_rows())
    np.testing.assert_allclose(predicted["b"], expected["b"].to_numpy(), rtol=1e-4)
    np.testing.assert_allclose(
        predicted["a_probability"][:, 1], expected["a_probability_yes"].to_numpy(), atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("config", [TASKS, OF_WORDS, OF_IMAGES], ids=["rows", "words", "pixels"])
def test_every_kind_of_task_is_equal_on_1000_rows(config, tmp_path):
    run, found = exported_equally(config, tmp_path, 1000)
    assert set(config["tasks"]) <= set(found.differences)
    files = {each.name for each in found.files}
    if "review" in config["inputs"]:
        assert "model.onnx-review-tokenizer.json" in files
        library = pytest.importorskip("tokenizers")
        own = library.Tokenizer.from_file(str(tmp_path / "model.onnx-review-tokenizer.json"))
        learned = json.loads((tmp_path / "model.onnx.json").read_text())["preprocessing"]["review"]
        text = rows(3)["review"].to_pylist()[0]
        ids = [each + learned["added_to_ids"] for each in own.encode(text).ids]
        given = run.preprocess(rows(3))["texts"]["review"]["ids"]
        assert given.values[: given.lengths[0]].tolist() == ids


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_every_encoder_fusion_and_sharing_scheme_is_equal(name, tmp_path):
    exported_equally(MODELS[name], tmp_path, 200)


@pytest.mark.slow
def test_tasks_of_several_sources_are_exported_apart_with_the_inputs_of_their_own(tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 2))
    first = {"u": x[:, 0], "v": x[:, 1], "spend": x[:, 0] * 9}
    second = {"u": x[:, 0], "w": x[:, 1], "late": np.where(x[:, 1] > 0, "y", "n").tolist()}
    config = {
        "inputs": {"u": "number", "v": "number", "w": "number"},
        "tasks": {
            "spend": {"type": "regression", "source": "a"},
            "late": {"type": "classification", "source": "b"},
        },
        "training": TRAINING,
    }
    run = motet.train(config, data={"a": first, "b": second}, output=tmp_path / "run")
    run.export("torch", tasks="late", rows=second)
    learned = json.loads((run.path / "export" / "model.pt2.json").read_text())
    assert [*learned["preprocessing"]] == ["u", "w"]
    with pytest.raises(InputError, match=r"several sources, .* apart: tasks=spend or tasks=late"):
        run.export("torch", rows={**first, "w": x[:, 1]})
