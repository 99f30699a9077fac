"""States of a run's texts by frozen encoders: computed once, and cached on disk for later runs.

A file is named by a digest of all that its content depends on: the encoder's options and weights,
and the tokens of all rows, whatever their splits. It is written atomically, has a checksum, and a
few of its texts are encoded again before it is used. `motet.run.cache` manages the folder and its
size.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from motet.adapting import per_task_modules
from motet.config import Config
from motet.data.ragged import Ragged
from motet.live import Progress
from motet.model import MultiTaskModel
from motet.model.building import Portable
from motet.problems import InputError
from motet.run.cache import cache_folder, entries, make_room, size_text, usage
from motet.run.layout import line
from motet.run.prepared import AnyPrepared, Part
from motet.run.runs import Run
from motet.run.stream_prepared import PreparedStream
from motet.training import Trainer
from motet.training.checkpoint import SUFFIX, read_checkpoint, write_checkpoint
from motet.training.freezing import Freezing
from motet.training.precomputing import (
    States,
    computes_as_in_evaluation,
    frozen_texts,
    lengths_of,
    states_of,
    texts_read_by_token,
    with_states,
)
from motet.writing import WriteError

LARGEST = 4e9
"""Bytes of a text's states above which they are cached only with ``cache_frozen: true``."""

_FORMAT = 1
"""Version of the files' content; files of other versions are not used."""
_CHECKED = 16
"""Number of texts that are encoded again to verify that a file matches the encoder."""
_LIKE = 1e-2
"""Tolerated relative difference of their states, between devices and versions of torch."""

Tokens = Mapping[str, Ragged]
"""The rows of one text input, as its encoder takes them."""
Say = Callable[[str], object]


def check_cache(config: Config, trainer: Trainer) -> None:
    """Reject ``cache_frozen: true`` if no encoder's states can be computed once.

    Raises:
        InputError: If that is so; the message gives the reason.
    """
    if not config.training.cache_frozen:
        return
    texts = frozen_texts(trainer.model, trainer.freezing.plan)
    if not texts:
        raise InputError(
            "no text encoder is frozen as a whole in all epochs, so no states can be cached; give "
            "freeze: [pretrained] without unfreeze, or remove cache_frozen",
            option="cache_frozen",
        )
    for name, encoders in texts.items():
        reason = _obstacle(config, trainer.model, encoders)
        if reason:
            raise InputError(
                f"the frozen encoder of {name!r} cannot be computed once: {reason}",
                option="cache_frozen",
            )


def with_frozen_states(prepared: Part, trainer: Trainer, say: Say, step: Say) -> dict[str, Any]:
    """Return the inputs of all rows, with the states of texts whose encoders are never trained.

    Of rows that are streamed these are the inputs of one row.

    Args:
        prepared: The run's rows.
        trainer: The trainer, with its initial weights.
        say: Called with a line for each such text.
        step: Called with a line about the work in progress.
    """
    if isinstance(prepared, PreparedStream):
        for name in frozen_texts(trainer.model, trainer.freezing.plan):
            reason = "its frozen encoder runs in every epoch: rows are streamed"
            say(line("note", f"{name}: {reason}"))
        return prepared.first_inputs(1)
    read = _Read(prepared.inputs, prepared.config, trainer.model, trainer.freezing.plan)
    return read.with_states(say, step)


def inputs_of(run: Run, table: pa.Table, step: Say = lambda line: None) -> dict[str, Any]:
    """Return what a finished run's model takes of a table, texts as in `with_frozen_states`.

    Runs with the same encoder read its states of a table from one file.

    Args:
        run: The run; its model is frozen as it was in training.
        table: The rows.
        step: Called with a line about the work in progress.
    """
    inputs, training = run.preprocess(table), run.config.training.options()
    plan = Freezing(run.model, training["freeze"], training["unfreeze"], training["frozen"]).plan
    return _Read(inputs, run.config, run.model, plan).with_states(lambda line: None, step)


def storing_lines(prepared: AnyPrepared, trainer: Trainer) -> Iterator[str]:
    """Report what a run will store outside its folder, and where."""
    for part in prepared.parts.values():
        if isinstance(part, PreparedStream):
            continue
        read = _Read(part.inputs, part.config, trainer.model, trainer.freezing.plan)
        for chosen in read.choices():
            if not chosen.reason:
                size, place = size_text(chosen.size), cache_folder()
                kept = f"{chosen.name}: {size} of states are kept for later runs in {place}"
                yield line("cache", kept)
                used = usage(entries())
                yield line("", f"there: {used}; see motet cache, and cache_frozen: false")


@dataclass(frozen=True)
class _Choice:
    """A text whose encoder is never trained."""

    name: str
    encoder: nn.Module
    text: Tokens
    words: bool
    """Whether its words are labelled, or read by a fusion, so that their states are stored too."""
    size: int
    """Bytes of its states."""
    reason: str
    """Why they are not computed once; empty if they are."""


@dataclass(frozen=True)
class _Read:
    """Rows in memory, and the model that reads them."""

    inputs: dict[str, Any]
    config: Config
    model: MultiTaskModel
    plan: Mapping[int, Iterable[str]]
    """Names of the parameters that are unfrozen at some epoch."""

    def with_states(self, say: Say, step: Say) -> dict[str, Any]:
        """Return the inputs, with the states of texts whose encoders are never trained."""
        inputs = self.inputs
        for chosen in self.choices():
            name, encoder, text = chosen.name, chosen.encoder, chosen.text
            if chosen.reason:
                reason = f"its frozen encoder runs in every epoch: {chosen.reason}"
                say(line("note", f"{name}: {reason}"))
                continue
            options = _options(self.config, name, encoder)
            cached = _Cached(name, encoder, options, text, chosen.words, chosen.size, step)
            found, how = cached.states()
            say(line("cache", f"{name}: {len(text['ids']):,} texts by a frozen encoder, {how}"))
            inputs = with_states(inputs, name, found)
        return inputs

    def choices(self) -> Iterator[_Choice]:
        """Yield the texts whose encoders are never trained."""
        wanted = self.config.training.cache_frozen
        if wanted is False:
            return
        by_token = texts_read_by_token(self.model)
        for name, encoders in frozen_texts(self.model, self.plan).items():
            text, words = self.inputs.get("texts", {}).get(name), name in by_token
            if text is None:  # of another source
                continue
            count = len(next(iter(text.values()))) + (int(lengths_of(text).sum()) if words else 0)
            size = 4 * count * int(encoders[0].width)  # type: ignore[arg-type]  # an int
            reason = _obstacle(self.config, self.model, encoders)
            if size > LARGEST and not wanted:
                reason = f"its states take {size_text(size)}; cache_frozen: true stores them anyway"
            yield _Choice(name, encoders[0], text, words, size, reason)


def _obstacle(config: Config, model: MultiTaskModel, encoders: list[nn.Module]) -> str:
    """Return why a frozen encoder's states cannot be computed once; empty if they can."""
    if config.training.precision != "float32":
        return (
            f"training in {config.training.precision} and evaluation in float32 need other states"
        )
    if not all(getattr(encoder, "reads_tokens", True) for encoder in encoders):
        return "it is a bag, which costs no more than reading its states"
    if not all(computes_as_in_evaluation(model, encoder) for encoder in encoders):
        return "with frozen: training its dropout stays active"
    if model.auxiliary_tasks:
        return "auxiliary tasks change its inputs"
    if any(per_task_modules(encoder) for encoder in encoders):
        return "each task has an adapter of its own in it"
    return "" if len(encoders) == 1 else "this sharing scheme copies it"


def _options(config: Config, name: str, encoder: nn.Module) -> dict[str, Any]:
    """Return an encoder's options; of one that was read from files, with their content."""
    given = dict((config.inputs or {})[name].options()["encoder"])
    return given | (encoder.portable_options() if isinstance(encoder, Portable) else {})


@dataclass(frozen=True)
class _Cached:
    """The states of one text, read from its file or written to it."""

    name: str
    encoder: nn.Module
    options: Mapping[str, Any]
    text: Tokens
    words: bool
    size: int
    step: Say

    def states(self) -> tuple[States, str]:
        """Return the states, and where they are from."""
        path = cache_folder() / f"{self._key()}{SUFFIX}"
        how = "computed once"
        if os.path.exists(path):  # also False without permission
            try:
                found, _ = read_checkpoint(path)
            except InputError:
                how = "computed again, as the file was damaged,"
            else:
                if self._holds(found):
                    with suppress(OSError):  # another user's cache may be read-only
                        os.utime(path)
                    return found, f"found ({_size_of(found)} in {path})"
                how = "computed again, as the encoder now gives other states,"
        started = time.perf_counter()
        found = states_of(self.encoder, self.text, words=self.words, progress=self._show_progress)
        spent = f"{how} in {time.perf_counter() - started:.1f} s "
        try:
            make_room(self.size)
            write_checkpoint(path, found, {"text": self.name})
            # mapped from the file, so that only what a batch needs is in memory
            return read_checkpoint(path)[0], f"{spent}({_size_of(found)} in {path})"
        except (InputError, OSError, SafetensorError) as error:  # or gone before it was read
            why = f"{path.parent} cannot be written: {getattr(error, 'strerror', None) or error}"
            return found, f"{spent}(in memory: {error if isinstance(error, WriteError) else why})"

    def _holds(self, found: States) -> bool:
        """Return whether states match the encoder, for texts from shortest to longest."""
        order = self.text["ids"].lengths.argsort()
        rows = order[torch.linspace(0, len(order) - 1, _CHECKED).long()]
        some = {name: values.take(rows) for name, values in self.text.items()}
        expected = states_of(self.encoder, some, words=self.words)
        pairs = [(found["pooled"][rows], expected["pooled"])]
        if self.words:
            states = Ragged(found["states"], lengths_of(self.text), fill=0).take(rows)
            pairs.append((states.values, expected["states"]))
        return all(float((a - b).norm()) <= _LIKE * float(b.norm()) for a, b in pairs)

    def _show_progress(self, done: int) -> None:
        texts = len(self.text["ids"])
        shown = f"encoding {self.name} once: {done:,} of {texts:,} texts"
        self.step(Progress(shown, done, texts))

    def _key(self) -> str:
        """Compute a digest of all that the states depend on."""
        kind = f"{type(self.encoder).__module__}.{type(self.encoder).__qualname__}"
        made = json.dumps([_FORMAT, kind, self.options, self.words], sort_keys=True)
        found = hashlib.blake2b(made.encode(), digest_size=16)
        for name, tensor in [*self.encoder.state_dict().items(), *_tensors(self.text)]:
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().reshape(-1).contiguous()
            found.update(flat.view(torch.uint8).numpy().data)
        return found.hexdigest()


def _tensors(text: Tokens) -> Iterator[tuple[str, Tensor]]:
    for name in sorted(text):
        yield name, text[name].values
        yield f"lengths of {name}", text[name].lengths


def _size_of(found: States) -> str:
    return size_text(sum(each.numel() * each.element_size() for each in found.values()))
