"""What the sidebar lists: the pages that a page links, below the heading of each section."""

import re
from pathlib import Path

_LINK = re.compile(r"\]\(([\w./]+)\.md\)")


def of_page(text: str) -> str:
    """Return a hidden table of contents for each section of a page that has links."""
    first, *sections = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    named = [("", first), *zip(sections[::2], sections[1::2], strict=True)]
    seen: dict[str, None] = {}
    trees = []
    for heading, section in named:
        pages = [each for each in dict.fromkeys(_LINK.findall(section)) if each not in seen]
        seen |= dict.fromkeys(pages)
        if pages:
            caption = f":caption: {heading}\n" if heading else ""
            trees.append(_tree(f":hidden:\n{caption}\n" + "\n".join(pages)))
    return "\n\n".join(trees)


def of_folder(folder: Path) -> str:
    """Return a table of contents of all other pages in a folder, if there are any."""
    pages = sorted(path.stem for path in folder.glob("*.md") if path.stem != "index")
    return _tree("\n" + "\n".join(pages)) if pages else ""


def _tree(content: str) -> str:
    return f"```{{toctree}}\n{content}\n```"
