"""How far a run got, as its folder shows."""

from pathlib import Path
from typing import Literal

from motet.run import folder, saving


def progress_of(path: Path) -> Literal["nothing", "begun", "finished"]:
    """Return whether there is a finished run in a folder, one that can be resumed, or neither."""
    if (path / folder.MODEL / saving.SETTINGS).is_file():
        return "finished"
    begun = (path / folder.CONFIG).is_file() and (path / folder.ENVIRONMENT).is_file()
    return "begun" if begun else "nothing"
