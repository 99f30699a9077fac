"""Importing is quick and lazy; the schema and the errors need no torch."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import motet

HEAVY = ("torch", "pyarrow", "numpy", "pandas", "fastapi", "uvicorn")


def modules_after(code, *, status=0):
    """Run code in a fresh interpreter; return which heavy modules it imported and its output."""
    script = f"""
import sys, json, contextlib, io
out = io.StringIO()
code = 0
try:
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
{"".join(f"        {line}" + chr(10) for line in code.splitlines())}
except SystemExit as error:
    code = error.code or 0
found = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps([code, found, out.getvalue()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    code, found, text = json.loads(done.stdout)
    assert code == status, text
    return set(found), text


def cli(*commands, status=0):
    """Run commands one after the other in one interpreter, as it takes seconds to start one.

    Returns:
        Which heavy modules they imported, and the output of each.
    """
    calls = f"""import sys
from motet.cli import main
for arguments in {commands!r}:
    sys.argv = ["motet", *arguments]
    try:
        main()
    except SystemExit as end:
        assert end.code == {status}, out.getvalue()
    print("END OF OUTPUT")"""
    found, text = modules_after(calls)
    outputs = text.split("END OF OUTPUT")[:-1]
    assert len(outputs) == len(commands)
    return found, outputs


def test_importing_motet_imports_nothing_heavy():
    assert modules_after("import motet\nmotet.__version__\ndir(motet)")[0] == set()


@pytest.mark.parametrize("name", motet.__all__)
def test_every_public_name_is_there(name):
    assert getattr(motet, name) is not None
    assert name in dir(motet)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'banana'"):
        _ = motet.banana


def test_help_list_and_schema_import_no_torch():
    expected = {
        ("--help",): "Multi-task learning on PyTorch",
        ("train", "--help"): "key=value",
        ("list",): "uncertainty",
        ("list", "balancers"): "Add up the losses",
        ("schema",): "json-schema.org/draft/2020-12",
    }
    found, texts = cli(*expected)
    assert found == set()
    for (arguments, part), text in zip(expected.items(), texts, strict=True):
        assert part in text, arguments


def test_config_errors_import_no_torch(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("tasks: {a: {type: regresion}}\nbalancing: equall\n")
    commands = ("validate", "train")
    found, texts = cli(
        *((command, str(path)) for command in commands),
        *((command, "missing.yaml") for command in commands),
        status=2,
    )
    assert not found & {"torch"}
    for text in texts[:2]:
        assert "did you mean 'regression'?" in text
        assert "did you mean 'equal'?" in text
    for text in texts[2:]:
        assert "there is no file 'missing.yaml'" in text


def test_reading_a_config_in_python_imports_no_torch():
    call = "import motet.config as c\nc.read({'tasks': {'a': {'type': 'regression'}}})"
    assert not modules_after(call)[0] & {"torch", "pyarrow"}


def test_the_installed_command_is_main():
    done = subprocess.run(
        [sys.executable, "-m", "motet", "list", "tasks"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names[:3] == ["classification", "regression", "multi_label"]


def test_no_module_imports_the_whole_package():
    own = Path(motet.__file__).parent
    up = [
        str(path.relative_to(own))
        for path in own.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and "motet" in [name.name for name in node.names]
    ]
    assert up == []
