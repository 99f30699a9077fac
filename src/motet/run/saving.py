"""The ``model/`` folder: all that is needed to predict, and no code.

``config.json`` is how the model is built, ``preprocessing.json`` what was learned from the training
rows about inputs and labels, ``model.safetensors`` the weights. ``learned.json`` has counts and
moments of the training labels, and what calibration learned, bound to the weights by their digest.
No pickle, no path.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model

from motet import config as configs
from motet.config import Config
from motet.config.places import without_paths
from motet.data.preprocessing import Preprocessing
from motet.data.selection import listed
from motet.encoders.adaptable import Adaptable, folder_name
from motet.limits import MODEL_ROOM
from motet.model import MultiTaskModel
from motet.model.allowance import Allowance
from motet.model.building import Portable, own_encoders
from motet.model.merging import with_merged_adapters
from motet.model.sizes import Sizes, learned_sizes
from motet.problems import MALFORMED, InputError, reason
from motet.registry import LABELS, TASKS
from motet.run.calibrating import Calibration
from motet.run.folder import finite, model_folder, require_folder, write_text
from motet.run.sealed import file_digest, read_sealed, write_sealed
from motet.tasks import Prediction
from motet.tasks.scores import Trivial
from motet.tasks.statistics import LabelStatistics
from motet.training.kept import Kept
from motet.version import __version__
from motet.writing import replacing, writing

WEIGHTS, SETTINGS, PREPROCESSING, LEARNED, CARD = (
    "model.safetensors",
    "config.json",
    "preprocessing.json",
    "learned.json",
    "README.md",
)
EACH = "weights"
"""Folder of the weights with which each task was best."""
ADAPTERS = "adapters"
"""Folder of the adapters in texts' encoders, one for each task or one for all."""
MEMBERS = "members"
"""Folder of the models of an ensemble, numbered from 1 on."""


def save(
    folder: Path,
    config: Config,
    preprocessing: Preprocessing,
    model: MultiTaskModel,
    trivial: Trivial,
    labels: Mapping[str, LabelStatistics],
    card: str,
    kept: Kept,
    calibration: Calibration | None = None,
) -> None:
    """Write the folder; the settings last, so that a folder that has them is complete.

    Args:
        folder: The ``model/`` folder.
        config: The config of the run.
        preprocessing: Its fitted preprocessing.
        model: The model.
        trivial: Constant predictions, fitted on the training labels.
        labels: Statistics of the training labels, by task.
        card: Text of the folder's README.
        kept: The state of the model with which each task was best, if these were kept.
        calibration: What was learned about its tasks after training, if anything.
    """
    _save_adapters(folder, model)
    kept, model = _merged_states(model, kept), with_merged_adapters(model)
    with replacing(folder / WEIGHTS) as path:
        save_model(model, str(path))
    files = _save_kept(folder, kept)
    write_text(folder / PREPROCESSING, preprocessing.to_json())
    summaries = {task: finite(each.summary()) for task, each in labels.items()}
    write_text(folder / CARD, card)
    settings = without_paths(config).model_dump(mode="json", exclude={"data"})
    for name, encoder in own_encoders(model).items():
        if isinstance(encoder, Portable):
            settings["inputs"][name]["encoder"] |= encoder.portable_options()
    content = {"motet": __version__, "config": settings, "trivial": _plain(trivial)}
    content |= {"weights": files} if files else {}
    names = [WEIGHTS, PREPROCESSING, *dict.fromkeys(files.values())]
    digests = {name: file_digest(folder / name) for name in names}
    learned: dict[str, Any] = {"labels": summaries}
    if calibration is not None:
        learned["calibration"] = {"of": digests[WEIGHTS], **calibration.as_json()}
    write_sealed(folder / LEARNED, learned)
    more = {"files": digests, "calibrated": calibration is not None}
    write_sealed(folder / SETTINGS, content | more)


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write what was learned about the tasks of a finished model beside its weights.

    Args:
        path: A run folder, or a ``model/`` folder.
        calibration: What was learned.
    """
    folder = model_folder(path)
    settings = read_sealed(folder / SETTINGS)
    learned = read_sealed(folder / LEARNED) if (folder / LEARNED).is_file() else {}
    learned["calibration"] = {"of": _weights_of(folder), **calibration.as_json()}
    write_sealed(folder / LEARNED, learned)
    write_sealed(folder / SETTINGS, settings | {"calibrated": True})


def load_calibration(folder: Path) -> Calibration | None:
    """Read what was learned about the tasks of a model after training.

    Returns:
        What was learned; None if nothing was.

    Raises:
        InputError: If it is missing though the model was calibrated, or is of other weights.
    """
    learned = read_sealed(folder / LEARNED) if (folder / LEARNED).is_file() else {}
    content = learned.get("calibration")
    if content is None:
        if read_sealed(folder / SETTINGS).get("calibrated"):
            raise InputError(
                f"{folder / LEARNED} has no calibration, and the model was calibrated; restore it "
                "from a copy"
            )
        return None
    with _as_written(folder / LEARNED):
        if content["of"] != _weights_of(folder):
            raise InputError(
                f"{folder / LEARNED} is of other weights than {WEIGHTS}; use both from one run"
            )
        return Calibration.from_json(content)


def _weights_of(folder: Path) -> str | list[str]:
    """Return the digest of a model's weights, of each of several models."""
    each = members(folder)
    if each:
        return [str(_weights_of(member)) for member in each]
    digests = read_sealed(folder / SETTINGS).get("files", {})
    return str(digests.get(WEIGHTS) or file_digest(folder / WEIGHTS))


def _save_adapters(folder: Path, model: MultiTaskModel) -> None:
    """Write adapters as peft reads them, which motet itself does not need."""
    for name, encoder in own_encoders(model).items():
        if isinstance(encoder, Adaptable):
            encoder.write_adapters(folder / ADAPTERS / folder_name(name))


def _merged_states(model: MultiTaskModel, kept: Kept) -> Kept:
    """Return states of the model that `with_merged_adapters` returns, each made once."""
    states = {id(state): state for state in kept.values()}
    merged = {
        key: state if (found := with_merged_adapters(model, state)) is model else found.state_dict()
        for key, state in states.items()
    }
    return {task: merged[id(state)] for task, state in kept.items()}


def _save_kept(folder: Path, kept: Kept) -> dict[str, str]:
    """Write each state once; return the file of each task."""
    files: dict[str, str] = {}
    names: dict[int, str] = {}
    for task, state in kept.items():
        if id(state) not in names:
            names[id(state)] = f"{EACH}/{len(names) + 1}.safetensors"
            with replacing(folder / names[id(state)]) as path:
                save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
        files[task] = names[id(state)]
    return files


def _load_kept(folder: Path, files: Mapping[str, str]) -> Kept:
    states = {name: load_file(_kept_file(folder, name)) for name in set(files.values())}
    return {task: states[name] for task, name in files.items()}


def _kept_file(folder: Path, name: str) -> Path:
    """Return a file of `_save_kept`, and no other, whatever the settings name."""
    path = folder / EACH / Path(name).name
    if f"{EACH}/{path.name}" != name or not path.is_file():
        raise InputError(f"{folder} has no file {name!r}; restore it from a copy")
    return path


def save_members(
    folder: Path, models: Sequence[Path], card: str, calibration: Calibration | None = None
) -> None:
    """Write a folder of several models, each a copy of a model folder; the settings last.

    Args:
        folder: The ``model/`` folder.
        models: Model folders.
        card: Text of the folder's README.
        calibration: What was learned about the tasks of all models together, if anything.
    """
    names = [f"{MEMBERS}/{place}" for place in range(1, len(models) + 1)]
    for name, model in zip(names, models, strict=True):
        with writing(folder / name):
            shutil.copytree(model, folder / name, dirs_exist_ok=True)
    write_text(folder / CARD, card)
    if calibration is not None:
        weights = [_weights_of(folder / name) for name in names]
        content = {"of": weights, **calibration.as_json()}
        write_sealed(folder / LEARNED, {"calibration": content})
    more = {"members": names, "calibrated": calibration is not None}
    write_sealed(folder / SETTINGS, {"motet": __version__, **more})


def members(folder: Path) -> list[Path]:
    """Return the folders of the models that `save_members` wrote; none for a single model.

    Raises:
        InputError: If one is missing.
    """
    if not (folder / SETTINGS).is_file():
        return []
    names = read_sealed(folder / SETTINGS).get("members", [])
    if not isinstance(names, list):
        raise InputError(f"{folder / SETTINGS} is not what motet writes: its members are no list")
    found = [folder / MEMBERS / str(place) for place in range(1, len(names) + 1)]
    missing = [str(each) for each in found if not each.is_dir()]
    if missing:
        raise InputError(f"models are missing: {', '.join(missing)}; restore them from a copy")
    return found


def load(folder: Path) -> tuple[Config, Preprocessing, MultiTaskModel, Trivial, Kept]:
    """Read what `save` wrote.

    Returns:
        Config, preprocessing, model in evaluation mode, constant predictions, and the state of the
        model with which each task was best, if these were kept.

    Raises:
        InputError: If it is not a model folder, or is incomplete.
    """
    missing = [name for name in (SETTINGS, PREPROCESSING, WEIGHTS) if not (folder / name).is_file()]
    require_folder(folder)
    if missing:
        runs = sorted(str(each.parent) for each in folder.glob("*/model"))
        raise InputError(
            f"{folder} holds no trained model: {', '.join(missing)} not found; "
            "expected a run folder, or its model/ folder"
            + (f", such as {listed(runs, 3)}" if runs else "")
        )
    content = read_sealed(folder / SETTINGS)
    with _as_written(folder / SETTINGS):
        config = configs.read(content["config"])[0]
        trivial = _predictions(content["trivial"])
        files, digests = dict(content.get("weights", {})), dict(content.get("files", {}))
    for name in (PREPROCESSING, WEIGHTS, *dict.fromkeys(files.values())):
        path = _kept_file(folder, name) if name in files.values() else folder / name
        if digests and digests.get(name) != file_digest(path):
            raise InputError(
                f"{path} was changed since motet wrote it, or is of another run; restore it from a "
                "copy"
            )
    with _as_written(folder / PREPROCESSING):
        text = (folder / PREPROCESSING).read_text(encoding="utf-8")
        preprocessing = Preprocessing.from_json(text)
        _read_a_row(preprocessing)
        _check_fit(folder, config, preprocessing)
        sizes = learned_sizes(config, preprocessing)
    model = _built(folder, config, sizes)
    with _as_written(folder / SETTINGS):
        _check_trivial(model, trivial)
    try:
        load_model(model, str(folder / WEIGHTS))
        kept = _load_kept(folder, files)
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder / WEIGHTS} does not hold this model: {reason(error)}") from None
    model.eval()
    return config, preprocessing, model, trivial, kept


def _read_a_row(preprocessing: Preprocessing) -> None:
    """Read a row without values, which uses what was learned about each input."""
    names = [name for each in preprocessing.fitted_inputs.values() for name in each.columns(())]
    with suppress(InputError):  # some inputs need a value
        preprocessing.apply(pa.table({name: pa.nulls(1) for name in names}))


def _built(folder: Path, config: Config, sizes: Sizes) -> MultiTaskModel:
    """Build the model, in little more memory than its weights take."""
    weights = (folder / WEIGHTS).stat().st_size
    message = (
        f"{folder / SETTINGS} describes a much larger model than {WEIGHTS} has weights of "
        f"({weights:,} bytes); use both from one run, unchanged"
    )
    with _as_written(folder / SETTINGS), Allowance(MODEL_ROOM + 4 * weights, message):
        return MultiTaskModel.from_sizes(config, sizes)


@contextmanager
def _as_written(path: Path) -> Iterator[None]:
    """Name the file in errors of content that motet would not write."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(path.parent)):
            raise
        raise InputError(f"{path}: {error}") from None
    except MALFORMED as error:
        raise InputError(f"{path} is not what motet writes: {reason(error)}") from None


def _check_fit(folder: Path, config: Config, preprocessing: Preprocessing) -> None:
    """Refuse files of two models in one folder."""
    for name, task in config.tasks.items():
        try:
            kind = TASKS[task.type].label_kind_of(task.options())
            fits = type(preprocessing.target(name)) is LABELS[kind.name]
        except InputError:
            fits = False
        if not fits:
            raise InputError(
                f"{folder / PREPROCESSING} does not fit {folder / SETTINGS}: it has no "
                f"{task.type} task {name!r}; use both from one run"
            )


def _check_trivial(model: MultiTaskModel, trivial: Trivial) -> None:
    """Refuse constant predictions for other classes than those of their tasks."""
    for name, metrics in trivial.items():
        names = model.tasks[name].class_names
        for metric, each in metrics.items():
            found = each.probabilities
            if names is not None and found is not None and found.shape != (1, len(names)):
                raise InputError(
                    f"trivial.{name}.{metric}: found probabilities {tuple(found.shape)}, expected "
                    f"(1, {len(names)})"
                )


def _plain(trivial: Trivial) -> dict[str, Any]:
    return {
        task: {
            metric: [
                None if part is None else finite(part.tolist())
                for part in (each.value, each.probabilities)
            ]
            for metric, each in metrics.items()
        }
        for task, metrics in trivial.items()
    }


def _predictions(content: dict[str, Any]) -> Trivial:
    return {
        task: {metric: _prediction(*parts) for metric, parts in metrics.items()}
        for task, metrics in content.items()
    }


def _prediction(value: list[Any], probabilities: list[Any] | None) -> Prediction:
    return Prediction(_tensor(value), None if probabilities is None else _tensor(probabilities))


def _tensor(values: list[Any]) -> torch.Tensor:
    array = np.array(values)
    if len(array) != 1:
        raise ValueError(f"a constant prediction is of {len(array)} rows")
    return torch.from_numpy(array.astype(float) if array.dtype == object else array)
