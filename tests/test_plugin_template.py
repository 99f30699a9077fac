"""The template in examples/plugin installs and works, beside packages that do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent.parent / "examples" / "plugin"
pytest.importorskip("hatchling", reason="the template is built by hatchling")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the template, installed without network."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", "-q", *options, str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def run(folder, *arguments, others=()):
    """Run Python with the folder, and others, among its packages."""
    paths = [str(folder), *map(str, others), *filter(None, [os.environ.get("PYTHONPATH")])]
    path = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **path}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=300
    )


def package(folder, name, entry_points):
    """Write an installed package whose module cannot be imported."""
    (folder / f"{name}.py").write_text("import no_such_package\n")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.mark.slow
def test_its_own_tests_pass_once_it_is_installed(installed):
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(PLUGIN)]
    done = run(installed, "-m", "pytest", *options, str(PLUGIN / "tests"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("..")


def test_a_package_that_cannot_be_imported_leaves_the_others_as_they_are(installed, tmp_path):
    package(tmp_path, "broken", "[motet.balancers]\nbad = broken:Bad\n")
    script = (
        "import motet\n"
        "assert {'bad', 'smooth_maximum', 'pcgrad'} <= set(motet.balancing.available())\n"
        "motet.balancing.create('smooth_maximum', ['a'])\n"
        "motet.balancing.create('bad', ['a'])\n"
    )
    done = run(installed, "-c", script, others=[tmp_path])
    assert "'bad' of the package broken cannot be imported" in done.stderr.splitlines()[-1]
    assert "update broken, or uninstall it" in done.stderr


@pytest.mark.slow
def test_a_package_with_a_name_of_another_is_named_with_it(installed, tmp_path):
    package(tmp_path, "twice", "[motet.balancers]\nsmooth_maximum = twice:Other\n")
    done = run(installed, "-m", "motet", "list", "balancers", others=[tmp_path])
    assert done.returncode == 2
    assert "used by two packages" in done.stderr
    assert "motet-example" in done.stderr
    assert "twice" in done.stderr
    script = "import motet; motet.balancing.create('pcgrad', ['a', 'b'])"
    assert run(installed, "-c", script, others=[tmp_path]).returncode == 0
