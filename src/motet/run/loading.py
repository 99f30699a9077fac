"""`motet.load`: a trained model from its folder."""

from os import PathLike
from pathlib import Path

from motet import config as configs
from motet.data.inputs.image import Image
from motet.data.preprocessing import Preprocessing
from motet.problems import InputError, shown
from motet.run import folder, saving
from motet.run.ensembles import Ensemble
from motet.run.runs import Run


def load(path: str | Path) -> Run:
    """Load a run folder, or its ``model/`` folder alone.

    Raises:
        InputError: If there is no trained model.

    Returns:
        The run, on the CPU; an `Ensemble` if it has several models.
    """
    if not isinstance(path, (str, PathLike)):
        raise InputError(f"found {shown(path)}, expected the path of a run folder")
    path = Path(path)
    inside = folder.model_folder(path)
    members = saving.members(inside)
    if members:
        ensemble = Ensemble(path, [_loaded(member, member) for member in members])
        if (path / folder.CONFIG).is_file():
            ensemble.config = configs.read(path / folder.CONFIG)[0]
        return _with_calibration(ensemble, inside)
    return _loaded(path, inside)


def _loaded(path: Path, inside: Path) -> Run:
    config, preprocessing, model, trivial, kept = saving.load(inside)
    if (path / folder.CONFIG).is_file():
        config = configs.read(path / folder.CONFIG)[0]
        _set_roots(config, preprocessing)
    return _with_calibration(Run(path, config, preprocessing, model, trivial, kept), inside)


def _with_calibration(run: Run, inside: Path) -> Run:
    calibration = saving.load_calibration(inside)
    if calibration is not None:
        run.use_calibration(calibration)
    return run


def _set_roots(config: configs.Config, preprocessing: Preprocessing) -> None:
    """Let inputs of images find paths where those of the run were, which no model folder has."""
    for name, chosen in (config.inputs or {}).items():
        given = preprocessing.fitted_inputs.get(name)
        if isinstance(given, Image):
            given.root = chosen.options()["root"]
