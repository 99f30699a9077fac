"""The first five minutes, typed as the page says; and the pages, built as `make docs` does."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import pytest

import motet
from motet import cli
from motet.options import read_options
from motet.registry import KINDS

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
BLOCKS = re.compile(r"^```(console|yaml|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = ("make", "source")
"""What `make demo` and a shell do before."""


def links(page):
    """The files that a page links, with the heading or none; the page itself is one."""
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, heading in LINK.findall(text):
        yield (page.parent / target).resolve() if target else page, heading


def linked(page):
    """The files that a page links."""
    return {path for path, _ in links(page)}


def headings(page):
    """The headings of a page, as links name them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files_and_headings(page):
    assert [str(path) for path in linked(page) if not path.exists()] == []
    named = [(path, heading) for path, heading in links(page) if heading]
    assert [each for each in named if each[1] not in headings(each[0])] == []


def test_every_page_is_found_from_the_index():
    index = ROOT / "docs" / "index.md"
    found = linked(index)
    for page in [each for each in found if each.name == "index.md"]:
        found |= linked(page)
    pages = {path for path in PAGES if path.parent != ROOT and path != index}
    assert sorted(map(str, pages - found)) == []


def test_every_benchmark_is_described():
    pages = (ROOT / "docs" / f"{name}.md" for name in ("benchmarks", "findings"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    scripts = sorted(path.name for path in (ROOT / "benchmarks").rglob("*.py"))
    assert [each for each in scripts if each not in text] == []


def test_every_public_module_has_a_page():
    text = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    modules = [name for name in motet.__all__ if ismodule(getattr(motet, name))]
    assert [each for each in modules if f"generated: names motet.{each} " not in text] == []


def test_every_kind_of_member_that_can_be_registered_is_named():
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


MEMBERS = {
    "encoder": ("encoders", "text"),
    "fusion": ("encoders",),
    "input": ("data", "text"),
    "lr_schedule": ("config",),
    "optimizer": ("config",),
    "scheduler": ("schedules",),
    "sharing": ("sharing",),
}
"""Pages that list the members of a kind; tests of tasks and balancers read the tables of theirs."""


@pytest.mark.parametrize("kind", MEMBERS)
def test_every_member_and_its_options_are_on_the_pages_of_their_kind(kind):
    pages = [ROOT / "docs" / f"{name}.md" for name in MEMBERS[kind]]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    spelt = re.findall(r"`([^`\n]+)`", text) + re.findall(r"(\w+):(?= |$)", text, re.MULTILINE)
    words = {word for each in spelt for word in re.findall(r"[\w+]+", each)}
    for name in KINDS[kind]:
        options = {option.name for option in read_options(KINDS[kind], name)}
        assert {name, *options} - words == set(), name


@pytest.mark.slow
def test_the_first_five_minutes_work_as_typed(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "first_five_minutes.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    namespace, typed = {}, []
    for language, text in BLOCKS.findall(page):
        if language == "yaml":
            (tmp_path / re.match(r"# (\S+)\n", text)[1]).write_text(text)
        elif language == "python":
            exec(text, namespace)
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                if words[0] not in SET_UP:
                    monkeypatch.setattr(sys, "argv", words)
                    with pytest.raises(SystemExit) as left:
                        cli.main()
                    assert left.value.code == 0, (line, capsys.readouterr())
                    typed.append(words[1])
    assert typed == ["validate", "train", "predict", "evaluate", "compare"]
    assert (tmp_path / "runs" / "first-001" / "report.html").is_file()
    assert (tmp_path / "predictions.parquet").is_file()
    assert "no measurable difference" in capsys.readouterr().out


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of built pages; any warning fails."""
    pytest.importorskip("sphinx", reason="not installed: pip install 'motet[docs]'")
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs/sphinx"]
    done = subprocess.run(
        [*command, "-d", str(folder / "read"), ".", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html" / "docs"


@pytest.mark.slow
def test_pages_are_built_without_a_warning_and_without_the_network(built):
    pages = [path.read_text(encoding="utf-8") for path in built.rglob("*.html")]
    assert len(pages) > 30
    loaded = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(http[^"]+)')
    assert not any(loaded.search(page) for page in pages)


def test_every_member_is_in_the_reference_of_options(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "sphinx")
    options = import_module("config_options").markdown()
    for kind in ("balancer", "sharing", "task", "encoder", "scheduler", "input"):
        assert [name for name in KINDS[kind] if f"### {kind} {name}\n" not in options] == []


@pytest.mark.slow
def test_every_public_name_and_command_is_in_the_reference(built):
    def text(name):
        return (built / "reference" / f"{name}.html").read_text(encoding="utf-8")

    for module in (motet, motet.balancing, motet.tasks):
        page = text(module.__name__.rpartition(".")[2])
        assert [name for name in module.__all__ if name not in page] == []
    assert 'id="motet.MultiTaskModel.freeze"' in text("motet")  # of a base that is not public
    assert "balancer pcgrad<" in text("config_options")
    commands = text("commands")
    assert "--balancers" in commands
    assert "motet predict RUN DATA" in commands
