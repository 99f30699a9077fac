"""The map of the package names what there is, and every place of it says what it holds."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "motet"
MAP = (ROOT / "docs" / "architecture.md").read_text()
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted(each.parent for each in PACKAGE.glob("*/__init__.py"))


def test_every_file_and_folder_of_the_map_exists():
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", MAP))
    assert len(named) > 100
    there = [f"/{each.relative_to(ROOT)}{'/' * each.is_dir()}" for each in PACKAGE.rglob("*")]
    missing = {
        name
        for name in named
        if not (ROOT / name).exists() and not any(path.endswith(f"/{name}") for path in there)
    }
    assert missing == set()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.name)
def test_every_folder_of_the_package_is_on_the_map(folder):
    assert re.search(rf"\b{folder.name}\b", MAP)


def test_the_first_line_of_every_module_is_what_it_holds():
    silent = [each for each in MODULES if not each.read_text().startswith('"""')]
    assert silent == []
