"""The loggers of a run."""

from importlib.util import find_spec
from pathlib import Path

from motet.config import Config
from motet.problems import InputError
from motet.run import folder
from motet.training.loggers import LOGGERS, Logger


def check_loggers(config: Config) -> None:
    """Check that the packages of the loggers are installed, before anything is written.

    Raises:
        InputError: If one is not.
    """
    for name in config.training.loggers:
        if find_spec(LOGGERS[name].package) is None:
            raise InputError(
                f"found {name!r}, which is not installed: pip install 'motet[track]'",
                option="training.loggers",
            )


def loggers_of(config: Config, path: Path) -> list[Logger]:
    """Make the loggers of a run, which end with it."""
    settings = config.model_dump(mode="json", exclude_unset=True)
    return [
        LOGGERS[name](
            path / folder.LOGGERS / name,
            settings=settings,
            name=path.absolute().name,
            close=False,
        )
        for name in dict.fromkeys(config.training.loggers)
    ]
