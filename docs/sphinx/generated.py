"""Pages that are filled while they are built.

``<!-- generated: NAME ARGUMENT -->`` stands for Markdown that is made of the package itself, so
that a new public name, option or command needs no edit here.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

import command_line
import config_options
import contents
import example_list
import public_names
import signatures
from sphinx.application import Sphinx
from sphinx.util import logging

MARK = re.compile(r"<!-- generated: (\w+)(?: ([\w.]+))? -->")
FOLDER = re.compile(r"\]\(((?:\.\./)*)examples/\)")
MAKERS = {
    "names": public_names.markdown,
    "config": config_options.markdown,
    "commands": command_line.markdown,
    "examples": example_list.markdown,
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the build."""
    app.connect("builder-inited", find_modules)
    app.connect("env-get-outdated", made_pages)
    app.connect("source-read", fill)
    app.connect("autodoc-process-signature", signatures.shown)
    app.connect("autodoc-process-docstring", signatures.keep_colons, priority=400)
    return {"parallel_read_safe": True}


def find_modules(app: Sphinx) -> None:
    """Find which modules have a page; a public module without one is a warning."""
    texts = [path.read_text(encoding="utf-8") for path in _pages(app)]
    marks = [found for text in texts for found in MARK.findall(text)]
    public_names.DOCUMENTED[:] = [module for maker, module in marks if maker == "names"]
    for module in public_names.without_page():
        logging.getLogger(__name__).warning(
            "%s is public, and no page in docs/reference/ has <!-- generated: names %s -->",
            module,
            module,
        )


def made_pages(app: Sphinx, *_: Any) -> list[str]:
    """Return the pages that depend on the package; they are read in every build."""
    found = [path for path in _pages(app) if MARK.search(path.read_text(encoding="utf-8"))]
    return [path.relative_to(app.srcdir).with_suffix("").as_posix() for path in found]


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace marks by what they stand for, and links to the folder of examples by its page."""
    makers = {**MAKERS, "contents": partial(contents.of_page, source[0])}
    text = MARK.sub(lambda found: makers[found[1]](*filter(None, [found[2]])), source[0])
    below = "" if page.startswith("docs/") else "docs/"
    source[0] = FOLDER.sub(
        lambda found: f"]({found[1].removeprefix('../')}{below}examples.md)", text
    )


def _pages(app: Sphinx) -> list[Path]:
    return sorted((Path(app.srcdir) / "docs").rglob("*.md"))
