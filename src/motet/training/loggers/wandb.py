"""Weights & Biases: online, or as WANDB_MODE says."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, final

from motet.problems import InputError
from motet.training.loggers.base import Logger


@final
class WeightsAndBiases(Logger):
    """Logs to Weights & Biases, with files in ``folder``; see `Logger`.

    The environment decides as for any use of the package: WANDB_MODE=offline sends nothing,
    WANDB_PROJECT names the project ("motet" if left out). A training that resumes from the same
    folder continues its run.
    """

    package: ClassVar[str] = "wandb"
    _run: Any

    def begin(self, step: int) -> None:
        import wandb

        known = self.known_run(step)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "motet"),
                name=self.name,
                id=known,
                dir=str(self.folder),
                config=self.settings,
                resume=None if known is None else "allow",
                settings=wandb.Settings(console="off"),
            )
        except wandb.Error as error:  # nobody is logged in, or there is no network
            raise InputError(
                f"wandb cannot begin a run: {str(error).rstrip('.')}; log in with wandb login, or "
                "set WANDB_MODE=offline",
                option="training.loggers",
            ) from error
        self.remember_run(self._run.id)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def end(self) -> None:
        self._run.finish()
