"""What the sidebar lists: the pages that a page links, below the heading of each section."""

import re

_LINK = re.compile(r"\[([^\]]+)\]\(([\w./]+)\.md\)")


def of_page(text: str) -> str:
    """Return a hidden table of contents for each section of a page that has links."""
    first, *sections = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    named = [("", first), *zip(sections[::2], sections[1::2], strict=True)]
    seen: set[str] = set()
    trees = []
    for heading, section in named:
        titles = {page: title.strip("`") for title, page in _LINK.findall(section)}
        lines = [f"{title} <{page}>" for page, title in titles.items() if page not in seen]
        seen |= set(titles)
        if lines:
            caption = f":caption: {heading}\n" if heading else ""
            trees.append(_tree(f":hidden:\n{caption}\n" + "\n".join(lines)))
    return "\n\n".join(trees)


def _tree(content: str) -> str:
    return f"```{{toctree}}\n{content}\n```"
