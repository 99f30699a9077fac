"""The loggers of a run."""

from pathlib import Path

from motet.config import Config
from motet.extras import require
from motet.run import folder
from motet.training.loggers import LOGGERS, Logger


def check_loggers(config: Config) -> None:
    """Check that the packages of the loggers are installed, before anything is written.

    Raises:
        InputError: If one is not.
    """
    for name in config.training.loggers:
        require(LOGGERS[name].package, needed="this config needs", option="training.loggers")


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
