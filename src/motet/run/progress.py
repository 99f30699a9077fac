"""How far a run got, as its folder shows."""

from pathlib import Path
from typing import Literal

from motet.run import folder, saving

Progress = Literal["nothing", "begun", "finished"]


def progress_of(path: Path) -> Progress:
    """Return whether there is a finished run in a folder, one that can be resumed, or neither."""
    if (path / folder.MODEL / saving.SETTINGS).is_file():
        return "finished"
    begun = (path / folder.CONFIG).is_file() and (path / folder.ENVIRONMENT).is_file()
    return "begun" if begun else "nothing"
