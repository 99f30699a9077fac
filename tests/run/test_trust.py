"""A run folder and a config are data: nothing in them runs code, or reads or writes elsewhere.

Nor does it take more memory than the size of its files justifies.
"""

import builtins
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from fuzz_folders import reseal
from power_cuts import cut_short
from small_runs import CONFIG, rows

import motet
from motet.config import read
from motet.problems import InputError

PACKAGE = Path(motet.__file__).parent


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A finished run, and one that died."""
    path = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        cut_short(CONFIG, path / "parts", patch, 5, data=rows())
    motet.train(CONFIG, data=rows(), output=path / "whole")
    return path


@pytest.fixture
def whole(folders, tmp_path):
    return Path(shutil.copytree(folders / "whole", tmp_path / "whole"))


# No code -----------------------------------------------------------------------------------------


def test_no_module_unpickles_and_none_runs_text():
    """`eval` is used on the package's own source alone, to read what its options document."""
    found = {}
    dangerous = re.compile(
        r"\bpickle\.|torch\.load\(|\bexec\(|(?<![\w.])eval\(|os\.system|subprocess|marshal"
        r"|trust_remote_code(?!=False)|yaml\.(unsafe_|full_)?load\((?!text, Loader=_Loader)"
        r"|allow_pickle=True|__import__"
    )
    for path in PACKAGE.rglob("*.py"):
        lines = [
            line.strip()
            for line in path.read_text().splitlines()
            if dangerous.search(line.split("#")[0])
        ]
        if lines:
            found[str(path.relative_to(PACKAGE))] = lines
    assert set(found) <= ALLOWED, found


ALLOWED = {"options/reading.py"}


@contextmanager
def poisoned(monkeypatch):
    """Let everything fail that could run code from a file."""

    def refuse(*_, **__):
        raise AssertionError("code from a file was about to run")

    with monkeypatch.context() as patch:
        for module, name in [
            *((pickle, name) for name in ("load", "loads", "Unpickler")),
            *((os, name) for name in ("system", "popen", "execv", "posix_spawn")),
            (torch, "load"),
            (subprocess, "Popen"),
            (builtins, "exec"),
        ]:
            patch.setattr(module, name, refuse)
        yield


def test_loading_predicting_and_resuming_use_nothing_that_can_run_code(
    folders, whole, tmp_path, monkeypatch
):
    parts = shutil.copytree(folders / "parts", tmp_path / "parts")
    motet.load(whole).predict(rows())  # modules that are imported late run their own code
    with poisoned(monkeypatch):
        run = motet.load(whole)
        run.predict(rows())
        with pytest.warns(UserWarning, match="was trained on"):
            run.evaluate(rows())
        motet.resume(parts, rows())


@pytest.mark.parametrize(
    "place", ["os:system", "os.system", "motet.balancing.equal:Equal", "../evil", "builtins:eval"]
)
@pytest.mark.parametrize("key", ["balancing", "model.sharing", "tasks.a", "scheduling"])
def test_a_config_names_members_not_places_of_code(place, key):
    config = json.loads(json.dumps(CONFIG)) | {"data": {"source": "rows.csv"}}
    here, *inner = key.split(".")
    if inner:
        config[here][inner[0]] = {"type": place}
    else:
        config[here] = {"type": place}
    with pytest.raises(InputError, match=re.escape(repr(place))):
        read(config)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['id']", "!!python/name:os.system"]
)
def test_yaml_tags_make_no_objects(tmp_path, tag):
    path = tmp_path / "config.yaml"
    path.write_text(f"data: {{source: rows.csv}}\ntasks: {{a: {tag}}}\n")
    with pytest.raises(InputError, match="not valid YAML"):
        read(path)


# Elsewhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../../secret.safetensors", "/etc/passwd", "weights/../../secret.safetensors", "", "weights"],
)
def test_weights_are_read_from_their_folder_alone(whole, name):
    path = whole / "model" / "config.json"
    content = json.loads(path.read_text())
    content["weights"] = {"a": name}
    path.write_text(json.dumps(content))
    reseal(whole)
    shutil.copy(whole / "model" / "model.safetensors", whole / "secret.safetensors")
    with pytest.raises(InputError, match="has no file"):
        motet.load(whole)


@pytest.mark.parametrize("names", [["../other"], "members/1", 3, ["members/1"]])
def test_members_are_read_from_their_folder_alone(whole, names):
    path = whole / "model" / "config.json"
    path.write_text(json.dumps({"motet": "0", "members": names}))
    with pytest.raises(InputError, match=r"are missing|no list"):
        motet.load(whole)


@pytest.mark.parametrize("constant", [[None, None], [[1]], [[1], [0.5, 0.5]], [[1], [[1.0]]], 3])
def test_constant_predictions_that_do_not_fit_are_refused(whole, constant):
    path = whole / "model" / "config.json"
    content = json.loads(path.read_text())
    content["trivial"]["a"]["accuracy"] = constant
    path.write_text(json.dumps(content))
    reseal(whole)
    with pytest.raises(InputError, match=r"config\.json"):
        motet.load(whole)


@pytest.mark.parametrize(
    "name", ["model/config.json", "model/preprocessing.json", "model/model.safetensors"]
)
@pytest.mark.parametrize("target", ["/dev/zero", "fifo"])
def test_devices_and_pipes_in_place_of_files_are_not_read(whole, name, target):
    (whole / name).unlink()
    if target == "fifo":
        os.mkfifo(whole / name)
    else:
        (whole / name).symlink_to(target)
    with pytest.raises(InputError, match="not found"):
        motet.load(whole)


# Size --------------------------------------------------------------------------------------------


def numbers(content, key=()):
    """Every path to a whole number of nested mappings and lists."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        if isinstance(value, (dict, list)):
            yield from numbers(value, (*key, name))
        elif isinstance(value, int) and not isinstance(value, bool):
            yield (*key, name)


CHILD = """
import resource, sys, warnings
import motet
from motet.problems import InputError
warnings.simplefilter("ignore")
rows = {name: [0.5, 1.0] for name in ("x0", "x1", "x2")}
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30), -1))
for path in sys.argv[1:]:
    try:
        motet.load(path).predict(rows)
        print("used", path)
    except InputError as error:
        print("refused", path, error)
"""


@pytest.mark.slow
def test_no_number_in_the_settings_of_a_model_takes_the_memory_that_it_claims(whole, tmp_path):
    content = json.loads((whole / "model" / "config.json").read_text())
    paths = []
    for place in list(numbers(content["config"])):
        for value in (10**7, 10**12, 10**40):
            folder = shutil.copytree(whole, tmp_path / str(len(paths)))
            changed = json.loads(json.dumps(content))
            here = changed["config"]
            for part in place[:-1]:
                here = here[part]
            here[place[-1]] = value
            (folder / "model" / "config.json").write_text(json.dumps(changed))
            reseal(folder)
            (folder / "config.yaml").unlink()
            paths.append(str(folder))
    command = [sys.executable, "-c", CHILD, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == len(paths) >= 20
    assert "describes a much larger model" in done.stdout


BOMBS = {
    "aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
    "merges": "a0: &a0 {k0: 1}\n"
    + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], k{i}: 1}}\n" for i in range(1, 40)),
    "depth": "tasks: " + "[" * 10_000,
    "itself": "tasks: &t {a: *t}",
    "digits": "tasks: {a: regression}\ntraining: {epochs: " + "9" * 5000 + "}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_that_grows_when_it_is_read_is_refused(tmp_path, name):
    path = tmp_path / "config.yaml"
    path.write_text(BOMBS[name])
    with pytest.raises(InputError):
        read(path)


def test_aliases_that_save_typing_are_welcome(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "data: {source: rows.csv}\n"
        "tasks: {a: &same {type: regression, head: {hidden: [4]}}, b: *same}\n"
    )
    assert list(read(path)[0].tasks) == ["a", "b"]
