"""The wheel and sdist are whole; what the code imports, pyproject.toml and the pins agree."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import motet
from motet import extras
from motet.training.loggers import LOGGERS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "motet"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOR_THE_REPOSITORY = ("test", "loops", "docs", "bench")
"""Extras whose packages src/ does not import."""


def requirements(texts):
    """Requirements by name."""
    return {canonicalize_name(each.name): each for each in map(Requirement, texts)}


CORE = requirements(PROJECT["dependencies"])
EXTRAS = {name: requirements(texts) for name, texts in PROJECT["optional-dependencies"].items()}
FOR_USERS = {name: found for name, found in EXTRAS.items() if name not in FOR_THE_REPOSITORY}


def pins(name):
    """Versions by package, of a file of constraints."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.!]+", line) for line in lines)
    split = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(package): version for package, version in split}


# Wheel and sdist ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An sdist of the repository, and the wheel of the sdist."""
    build = pytest.importorskip("build", reason="not installed: pip install 'motet[test]'")
    folder = tmp_path_factory.mktemp("built")
    sdist = Path(build.ProjectBuilder(ROOT).build("sdist", folder))
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.glob("motet-*/")
    return unpacked, Path(build.ProjectBuilder(unpacked).build("wheel", folder / "wheel"))


@pytest.mark.slow
def test_the_wheel_of_the_sdist_is_the_package_and_nothing_else(built):
    expected = {
        path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(built[1]) as wheel:
        found = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == expected
    assert "motet/py.typed" in found


@pytest.mark.slow
def test_the_sdist_has_every_file_that_the_tests_and_pages_read(built):
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    expected = {name for name in listed.splitlines() if (ROOT / name).is_file()}
    found = {
        path.relative_to(built[0]).as_posix() for path in built[0].rglob("*") if path.is_file()
    }
    assert expected - found == {".ci/run"}
    assert found - expected == {"PKG-INFO"}


@pytest.mark.slow
def test_the_metadata_is_valid(built):
    with zipfile.ZipFile(built[1]) as wheel:
        [name] = [each for each in wheel.namelist() if each.endswith("/METADATA")]
        found = Metadata.from_email(wheel.read(name), validate=True)
    assert found.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert found.description_content_type == "text/markdown"
    assert set(found.provides_extra) == set(EXTRAS)


def test_the_oldest_python_declared_is_the_oldest_allowed():
    declared = [
        Version(each.removeprefix("Programming Language :: Python :: "))
        for each in PROJECT["classifiers"]
        if each.startswith("Programming Language :: Python :: 3.")
    ]
    assert PROJECT["requires-python"] == f">={min(declared)}"
    page = (ROOT / "docs" / "versioning.md").read_text(encoding="utf-8")
    assert all(f"Python {version}" in page for version in declared)


def test_the_citation_names_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


# Dependencies ------------------------------------------------------------------------------------

DISTRIBUTIONS = {"pil": "pillow", "sklearn": "scikit-learn", "mlflow": "mlflow-skinny"}
DISTRIBUTIONS |= {"yaml": "pyyaml", "pydantic-core": "pydantic", "starlette": "fastapi"}
EXTRA_OF_PACKAGE = {
    DISTRIBUTIONS.get(name, name): extra
    for module, extra in extras.EXTRA_OF.items()
    for name in [canonicalize_name(module)]
}
CHECKED_BEFORE = {
    "data/images/normalising.py": "encoders/timm.py",
    "estimator/estimators.py": "estimator/__init__.py",
    "estimator/labels.py": "estimator/__init__.py",
    **{f"serving/{name}.py": "serving/__init__.py" for name in ("app", "body", "server")},
    **{f"training/loggers/{name}.py": "training/loggers/base.py" for name in LOGGERS},
}
"""Modules that import an optional package without a hint, and the one that gives it."""


def imported(path):
    """The packages outside the standard library that a module imports, by their names in PyPI."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names += [each.name for each in node.names]
            case ast.ImportFrom(level=0):
                names.append(node.module)
            case ast.Call(func=ast.Name(id="imported"), args=[ast.Constant(value=name), *_]):
                names.append(name)
            case ast.AnnAssign(target=ast.Name(id="package"), value=ast.Constant(value=name)):
                names.append(name)
    found = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"motet"}
    packages = {canonicalize_name(name) for name in found}
    return {DISTRIBUTIONS.get(name, name) for name in packages}


def optional_imports():
    """Modules with the optional packages that they import."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in sorted(imported(path) - set(CORE)):
            yield path.relative_to(PACKAGE).as_posix(), name


@pytest.mark.parametrize(("module", "package"), [*optional_imports()])
def test_a_module_names_the_extra_of_an_optional_package_that_it_imports(module, package):
    source = (PACKAGE / CHECKED_BEFORE.get(module, module)).read_text(encoding="utf-8")
    assert "from motet.extras import" in source
    assert package in EXTRAS[EXTRA_OF_PACKAGE[package]]


def test_every_extra_for_users_is_named_where_a_package_of_it_is_lacking():
    assert set(EXTRA_OF_PACKAGE.values()) == set(FOR_USERS)


def test_a_package_that_is_installed_and_lacks_another_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "optuna.py").write_text("import is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "optuna", raising=False)
    with pytest.raises(ModuleNotFoundError, match="is_not_there"):
        extras.imported("optuna", "motet tune needs")


def test_every_dependency_is_imported_somewhere():
    found = {name for path in PACKAGE.rglob("*.py") for name in imported(path)}
    assert set(CORE) <= found


def test_without_scikit_learn_the_estimators_name_the_extra(monkeypatch):
    for name in [each for each in sys.modules if each.startswith("motet.estimator")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [each for each in sys.modules if each.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "motet\[sklearn\]"'):
        _ = motet.MultiTaskClassifier


def test_the_pins_of_every_extra_are_within_its_bounds():
    found = pins("constraints.txt")
    for group in (CORE, *EXTRAS.values()):
        for name, requirement in group.items():
            if name in found:
                assert requirement.specifier.contains(found[name], prereleases=True), requirement
    missing = {name for group in (CORE, *EXTRAS.values()) for name in group} - set(found)
    assert missing == {"timm"}  # it needs torchvision, whose build is chosen with that of torch


def test_the_lowest_versions_that_were_tried_are_those_declared():
    lowest = pins("constraints-minimum.txt")
    for group in (CORE, *FOR_USERS.values()):
        for name, requirement in group.items():
            [bound] = requirement.specifier
            assert bound.operator == ">=", requirement
            if name in lowest:
                assert Version(bound.version) == Version(lowest[name]), requirement
    assert set(CORE) <= set(lowest)
