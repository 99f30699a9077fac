"""The formats of exported models: writing a file, and computing with what it holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from motet.export.graph import first_line, quiet
from motet.export.layout import Leaf
from motet.extras import require
from motet.problems import InputError, hint

Compute = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
_ONNX_ROOM = 2_000_000_000
"""Bytes of weights that one ONNX file can hold."""


@dataclass(frozen=True)
class Format:
    """A format."""

    suffix: str
    packages: tuple[str, ...]
    """What writing and checking a file needs."""
    write: Callable[[ExportedProgram, Path, Sequence[Leaf], Sequence[str]], None]
    """Called with the program, the file, its inputs, and the names of its outputs."""
    open: Callable[[Path], Compute]


def _write_program(
    program: ExportedProgram, path: Path, inputs: Sequence[Leaf], outputs: Sequence[str]
) -> None:
    torch.export.save(program, path)


def _open_program(path: Path) -> Compute:
    computed = torch.export.load(path).module()
    return lambda given: dict(computed(dict(given)))


def _write_onnx(
    program: ExportedProgram, path: Path, inputs: Sequence[Leaf], outputs: Sequence[str]
) -> None:
    size = sum(each.numel() * each.element_size() for each in program.state_dict.values())
    if size > _ONNX_ROOM:
        raise InputError(
            f"the model has {size:,} bytes of weights, and an ONNX file holds at most 2 GB; export "
            "it with format torch"
        )
    names = [leaf.name for leaf in inputs]
    shared = [name for name in names if name in outputs]
    if shared:
        raise InputError(
            f"the input {shared[0]!r} and a task have one name, which ONNX does not support; "
            "rename one of them and train again, or export with format torch"
        )
    try:
        made = torch.onnx.export(
            program,
            input_names=names,
            output_names=list(outputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except Exception as error:  # the exporter has many types
        raise InputError(
            f"ONNX has no form of a part of the model: {first_line(error.__cause__ or error)}; "  # type: ignore[arg-type]  # raised by an exception
            "export it with format torch, or other tasks"
        ) from error
    assert made is not None
    _free_names(made.model)
    _name_axes(made.model, inputs)
    made.save(path, external_data=False)


def _free_names(model: Any) -> None:
    """Rename inner values that have the name of an input or output, such as a task ``linear``."""
    public = [*model.graph.inputs, *model.graph.outputs]
    taken = {value.name for value in public}
    for number, value in enumerate(out for node in model.graph.all_nodes() for out in node.outputs):
        if value.name in taken and not any(value is each for each in public):
            value.name = f"{value.name}.inner_{number}"


def _name_axes(model: Any, inputs: Sequence[Leaf]) -> None:
    """Name the axes of any size, in place of numbers."""
    names: dict[str, str] = {}
    for value, leaf in zip(model.graph.inputs, inputs, strict=True):
        for size, axis in zip(value.shape, leaf.axes, strict=True):
            if isinstance(axis, str) and not isinstance(size, int):
                names.setdefault(str(size.value), axis)
    nodes = list(model.graph.all_nodes())
    for value in {*model.graph.inputs, *(out for node in nodes for out in node.outputs)}:
        for place, size in enumerate(value.shape or ()):
            if not isinstance(size, int) and str(size.value) in names:
                value.shape[place] = names[str(size.value)]


def _open_onnx(path: Path) -> Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own types
        raise InputError(
            f"onnxruntime cannot load the exported model: {first_line(error)}; export it with "
            "format torch"
        ) from error
    names = [each.name for each in session.get_outputs()]

    def compute(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        arrays = session.run(None, {name: each.numpy() for name, each in given.items()})
        return {name: torch.from_numpy(each) for name, each in zip(names, arrays, strict=True)}

    return compute


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _open_onnx),
    "torch": Format(".pt2", (), _write_program, _open_program),
}


def format_of(name: str) -> Format:
    """Return a format.

    Raises:
        InputError: If there is none with that name, or its packages are not installed.
    """
    if name not in FORMATS:
        raise InputError(f"format: found {name!r}; {hint(str(name), FORMATS)}")
    found = FORMATS[name]
    require(*found.packages, needed=f"the format {name} needs")
    return found


def writing_quietly(
    chosen: Format,
    program: ExportedProgram,
    path: Path,
    inputs: Sequence[Leaf],
    outputs: Sequence[str],
) -> None:
    """Write a program, without the exporters' own reports."""
    with quiet(), torch.no_grad():
        chosen.write(program, path, inputs, outputs)
