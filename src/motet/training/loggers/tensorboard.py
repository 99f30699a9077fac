"""TensorBoard: event files, read by ``tensorboard --logdir``."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

from motet.training.loggers.base import Logger


@final
class TensorBoard(Logger):
    """Writes event files into ``folder``; see `Logger`."""

    package: ClassVar[str] = "tensorboard"
    _writer: Any

    def begin(self, step: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # what was logged after the checkpoint that training resumes from is dropped
        self._writer = SummaryWriter(str(self.folder), purge_step=step + 1 if step else None)
        if not step:
            lines = [f"    {key}: {value}" for key, value in self.settings.items()]  # as code
            self._writer.add_text("settings", "\n".join(lines))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def end(self) -> None:
        self._writer.close()
