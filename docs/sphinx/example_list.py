"""The scripts and configs in `examples/`, with the first sentence of each."""

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"


def markdown() -> str:
    """Return a list of links."""
    files = sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*.yaml")])
    return "\n".join(f"- [{each.name}](../examples/{each.name}): {_line(each)}" for each in files)


def _line(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        about = ast.get_docstring(ast.parse(text)) or ""
    else:
        head = re.match(r"(#.*\n)+", text)
        about = re.sub(r"^# ?", "", head[0], flags=re.MULTILINE) if head else ""
    paragraph = " ".join(about.split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]
