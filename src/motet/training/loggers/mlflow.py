"""MLflow: the server that MLFLOW_TRACKING_URI names, or files in the folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any, ClassVar, final

from motet.training.loggers.base import Logger

_LONGEST = 500
"""Characters of a parameter that every store of MLflow takes."""


@final
class MLflow(Logger):
    """Logs to the tracking server of the environment, or into ``folder``; see `Logger`.

    A training that resumes from the same folder continues its run.
    """

    package: ClassVar[str] = "mlflow"
    _client: Any
    _run: str

    def begin(self, step: int) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or self._own_store())
        if (known := self.known_run(step)) is not None:
            self._run = known
            self._client.update_run(self._run, status="RUNNING")
            return
        experiment = self._client.get_experiment_by_name("motet")
        identity = (
            self._client.create_experiment("motet")
            if experiment is None
            else experiment.experiment_id
        )
        self._run = self._client.create_run(identity, run_name=self.name).info.run_id
        self.remember_run(self._run)
        for key, value in self.settings.items():
            self._client.log_param(self._run, key, str(value)[:_LONGEST])

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time() * 1000)
        metrics = [Metric(_allowed(name), value, now, step) for name, value in numbers.items()]
        for start in range(0, len(metrics), 1000):  # the most that a call takes
            self._client.log_batch(self._run, metrics=metrics[start : start + 1000])

    def end(self) -> None:
        self._client.set_terminated(self._run)

    def _own_store(self) -> str:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow asks for it
        return Path(self.folder / "store").absolute().as_uri()


def _allowed(name: str) -> str:
    """Return a name with the characters that MLflow takes."""
    return "".join(each if each.isalnum() or each in "_-./ :" else "_" for each in name)
