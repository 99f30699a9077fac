"""Which tasks of a model are computed and trained."""

from motet.freezable import Freezable
from motet.problems import InputError, hint
from motet.sharing import ByTask
from motet.tasks import Task


class EnabledTasks(Freezable):
    """A model as a set of tasks, of which some are enabled."""

    tasks: ByTask[Task]
    _enabled: dict[str, bool]

    @property
    def active_tasks(self) -> tuple[str, ...]:
        """Names of the enabled tasks."""
        return tuple([name for name, enabled in self._enabled.items() if enabled])

    @property
    def labelled_tasks(self) -> tuple[str, ...]:
        """Names of the enabled tasks that have labels, and so predictions and scores."""
        return tuple(task for task in self.active_tasks if self.tasks[task].label_kind.given)

    @property
    def trained_tasks(self) -> tuple[str, ...]:
        """Names of the enabled tasks that have a loss: all but latent ones."""
        return tuple(task for task in self.active_tasks if not self.tasks[task].latent)

    @property
    def auxiliary_tasks(self) -> tuple[str, ...]:
        """Names of the enabled tasks that make their own targets."""
        return tuple(task for task in self.active_tasks if not self.tasks[task].label_kind.given)

    def enable_task(self, task: str) -> None:
        """Compute and train a task again."""
        self._enabled[self._known(task)] = True

    def disable_task(self, task: str) -> None:
        """Leave a task out: its head is neither computed nor trained, and costs nothing."""
        self._enabled[self._known(task)] = False

    def _known(self, task: str) -> str:
        if not isinstance(task, str) or task not in self._enabled:
            raise InputError(f"no task is named {task!r}; {hint(str(task), self._enabled)}")
        return task
