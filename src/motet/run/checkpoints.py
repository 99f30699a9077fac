"""Checkpoints of a run: the newest two, and the newest after a best evaluation.

Each records what ``metrics.jsonl`` was when it was written, and digests of data and config, so that
a resumed run continues exactly. The newest good one is used: a file that was cut or changed is
named in a warning and left out.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from motet.config import Config
from motet.config.places import without_paths
from motet.data.images.stored import Images
from motet.data.ragged import Ragged
from motet.data.trees import leaves
from motet.problems import MALFORMED, InputError, reason
from motet.processes import processes_of
from motet.run.folder import METRICS, JsonLines, folds_of
from motet.run.prepared import AnyPrepared
from motet.run.stream_prepared import PreparedStream
from motet.training import Trainer
from motet.training.checkpoint import SUFFIX, read_checkpoint, write_checkpoint
from motet.training.observers import Checkpoint, Observed
from motet.version import __version__

KEPT = {"last": 2, "best": 1}


class Checkpoints:
    """The checkpoints in a run folder.

    Args:
        path: The run folder.
        prepared: What the run trains on.
    """

    def __init__(self, path: Path, prepared: AnyPrepared) -> None:
        self._folder = path / "checkpoints"
        self._records = JsonLines(path / METRICS)
        self._prepared = prepared

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {"data": digest(self._prepared), "config": config_digest(self._prepared.config)}

    def save(self, kind: Checkpoint, trainer: Observed) -> None:
        """Write a checkpoint, then remove those that are no longer kept."""
        tensors, header = trainer.state()
        header |= {
            "motet": __version__,
            "metrics": self._records.mark(),
            **self._digests,
        }
        folder = self._folder / kind
        write_checkpoint(folder / f"step-{trainer.step:09d}{SUFFIX}", tensors, header)
        for old in _newest_first(folder)[KEPT[kind] :]:
            old.unlink()

    def is_empty(self) -> bool:
        """Whether there is no checkpoint."""
        return not any(_newest_first(self._folder / kind) for kind in KEPT)

    def load(self, trainer: Trainer) -> str:
        """Restore the trainer and ``metrics.jsonl`` from the newest good checkpoint.

        A warning names the checkpoints that are damaged, and the one used instead.

        Returns:
            A note for the user, if there is one.

        Raises:
            InputError: If no checkpoint is good, or data or config have changed.
        """
        processes = processes_of()
        found = processes.of_first(self._newest_good() if processes.first else None)
        if found is None:
            if processes.first:
                self._records.restore(None)
            return "there is no checkpoint yet; starting from the beginning"
        path, tensors, header = found
        with _fitting(path, header):
            data, config, metrics = header["data"], header["config"], header["metrics"]
        if data != self._digests["data"]:
            raise InputError(
                "the data are not those that the run began with, so it cannot continue exactly; "
                "give the same data, or start a new run"
            )
        if config != self._digests["config"]:
            raise InputError(
                "config.yaml is not what the run began with, so it cannot continue exactly; undo "
                "the change (only where the data are and training.device may change), or start a "
                "new run"
            )
        with _fitting(path, header):
            trainer.load_state(tensors, header)
        if processes.first:
            self._records.restore(metrics)
        return ""

    def _newest_good(self) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
        paths = _newest_first(self._folder / "last") + _newest_first(self._folder / "best")
        bad: list[str] = []
        for path in paths:
            try:
                tensors, header = read_checkpoint(path)
            except InputError as error:
                bad.append(str(error))
                continue
            if bad:
                warnings.warn(f"{'; '.join(bad)}; continuing from {path}", stacklevel=5)
            return path, tensors, header
        if bad:
            raise InputError(f"no checkpoint can be used: {'; '.join(bad)}; start a new run")
        return None


@contextmanager
def _fitting(path: Path, header: Mapping[str, Any]) -> Iterator[None]:
    """Report a checkpoint that another version of motet wrote, or something else."""
    try:
        yield
    except MALFORMED as error:
        raise InputError(
            f"the checkpoint {path}, which motet {header.get('motet', 'of an earlier version')} "
            f"wrote, does not fit motet {__version__} ({reason(error)}); use that version, or "
            "start a new run"
        ) from None


def digest(prepared: AnyPrepared) -> str:
    """Compute a digest of all that training reads: preprocessing, arrays and split."""
    found = hashlib.blake2b(prepared.preprocessing.to_json().encode(), digest_size=16)
    for part in prepared.parts.values():
        if isinstance(part, PreparedStream):
            for blocks in part.blocks.values():
                found.update(json.dumps(blocks.state()).encode())
            continue
        split = part.rows.split
        arrays = [*leaves(part.inputs), *part.targets.values(), *part.weights.values()]
        for leaf in [*arrays, split.train, split.validation, split.test, split.calibration]:
            for array in _arrays_of(leaf):
                found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _arrays_of(leaf: Any) -> tuple[Any, ...]:
    if isinstance(leaf, Images):
        return leaf.fingerprint()
    return (leaf.values, leaf.lengths) if isinstance(leaf, Ragged) else (leaf,)


def config_digest(config: Config) -> str:
    """Compute a digest of a config, apart from where data and models are and the device."""
    content = without_paths(config).model_dump(mode="json")
    del content["training"]["device"]
    for each in (content["data"], *(content["data"]["sources"] or {}).values()):
        each.pop("source", None)
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def what_is_kept(path: Path) -> str:
    """Report up to which step a run folder holds what its run has made."""
    folds = folds_of(path)
    of_fold = f" of fold {folds[-1].name}" if folds else ""
    place = (folds[-1] if folds else path) / "checkpoints"
    if newest := [*_newest_first(place / "last"), *_newest_first(place / "best")]:
        step = int(newest[0].stem.removeprefix("step-"))
        return f"the run {path} is whole up to step {step}{of_fold}"
    return f"the run {path} is whole up to its last checkpoint, if it has one"


def _newest_first(folder: Path) -> list[Path]:
    found = (each for each in folder.glob(f"step-*{SUFFIX}") if each.is_file())
    return sorted(found, reverse=True)
