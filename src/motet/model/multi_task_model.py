"""The multi-task model: inputs through an encoder and a sharing scheme to one head per task."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motet.config import Config
from motet.freezable import Freezable, held_parameters
from motet.model.building import arguments_of, declared, drawing_first_weights
from motet.model.checks import (
    EXPLAINED,
    check_tokens,
    described,
    explained,
    needs_tokens,
    no_features,
    task_names,
    width_of,
)
from motet.model.losses import mean_losses
from motet.model.ownership import Ownership
from motet.model.parts import find
from motet.model.sizes import Sizes
from motet.model.wrapped import WrappedModule
from motet.problems import InputError, about, hint
from motet.sharing import (
    Backbone,
    ByTask,
    Hard,
    Representation,
    SharedModule,
    Sharing,
    Stages,
)
from motet.states import TokenStates
from motet.tasks import Prediction, Task


class MultiTaskModel(Freezable):
    """An encoder, a sharing scheme and a head per task.

    ``model(inputs)`` gives the raw outputs, ``{task: tensor}``; `decode` turns them into
    predictions, `losses` compares them with targets. Disabled tasks are not computed at all.

    Args:
        encoder: Any module that maps the inputs to features (B, width), or to
            `motet.states.TokenStates` of that width, which tasks that label words need. Schemes
            that split it or need several cut it into stages: the layers of an ``nn.Sequential``, a
            list of modules, what a module lists in ``stages``, or what a function without
            arguments makes of these.
        tasks: The tasks; their order is the order of every ``{task: ...}``.
        width: Width of the features; read from the encoder's last layer if left out.
        sharing: Sharing scheme; hard sharing if left out.

    Raises:
        InputError: If the width cannot be read, a task name is doubled or cannot be used, or a task
            reads tokens where there are none.

    Example:
        >>> from motet.tasks import Classification, Regression
        >>> tasks = [Classification("digit", classes=10), Regression("area")]
        >>> model = MultiTaskModel(nn.Linear(4, 8), tasks)
        >>> {task: tuple(raw.shape) for task, raw in model(torch.zeros(3, 4)).items()}
        {'digit': (3, 10), 'area': (3,)}
    """

    def __init__(
        self,
        encoder: Backbone,
        tasks: Sequence[Task],
        width: int | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        super().__init__()
        names = task_names(tasks)
        stages, sharing = Stages.of(encoder), sharing or Hard()
        check_tokens(tasks, stages, sharing)
        stages = stages if sharing.reads_tokens else stages.of_rows()
        width = width or width_of(stages)
        with about("sharing"):
            shared = sharing.build(stages, names, width)
        heads = {task.name: task.make_head(shared.width) for task in tasks}
        self._assemble(shared, tasks, heads)

    def _assemble(
        self, shared: SharedModule, tasks: Sequence[Task], heads: Mapping[str, nn.Module]
    ) -> None:
        self.sharing = shared
        self.tasks: ByTask[Task] = ByTask({task.name: task for task in tasks})
        self.heads: ByTask[nn.Module] = ByTask(heads)
        self._enabled = {task.name: task.enabled for task in tasks}
        self.ownership = Ownership(declared=shared.declares_own)
        """Which task each parameter belongs to, as far as modules and graphs show it."""

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        tasks: Sequence[Task],
        heads: Mapping[str, nn.Module] | None = None,
    ) -> "MultiTaskModel":
        """Make a model of a module that already returns ``{task: raw output}``.

        Args:
            module: Called with the inputs; its outputs are taken as they are.
            tasks: The tasks, named as in the module's output.
            heads: The parts of ``module`` that belong to one task alone, by task name. Without
                them, the graph of the first step shows it, too late to freeze parts or to give
                them a learning rate of their own.

        Returns:
            A model that computes exactly what ``module`` computes.

        Raises:
            InputError: If ``heads`` names no task.
        """
        names = task_names(tasks)
        for name in heads or {}:
            if name not in names:
                raise InputError(f"heads names {name!r}, which is no task; {hint(name, names)}")
        for task in tasks:
            if task.learning_rate is not None and task.name not in (heads or {}):
                raise InputError(
                    f"task {task.name!r} has a learning rate of its own; say which part of the "
                    f"module it is for: wrap(..., heads={{{task.name!r}: module.part}})"
                )
            if task.head != {"type": "mlp"}:
                raise InputError(
                    f"task {task.name!r} has a head of its own, but a wrapped module has its heads "
                    "inside; remove head"
                )
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._assemble(
            WrappedModule(module, heads or {}, names), tasks, {n: nn.Identity() for n in names}
        )
        return model

    @staticmethod
    def from_config(config: str | Path | Mapping[str, Any] | Config) -> "MultiTaskModel":
        """Build the model of a config that tells all sizes; no data are read.

        A category tells its ``size``, a vector its ``width``, a classification or multi-label task
        its ``classes``. Of the rest of the config, only ``training.seed`` counts: the first weights
        are those of the same objects made after ``torch.manual_seed(seed)``.

        The model takes what its encoder takes, in the order of the inputs: ``{"numbers": (B, n),
        "categories": (B, c)}``, either left out if there is none. A number is one column and a
        vector ``width`` columns of numbers, which enter as they are; scales and bins are learned
        from data, by a run. A category is an index: 0 unknown, 1 missing, 2 to ``size`` + 1.
        Regressions predict in the unit of the targets that they are trained on.

        Args:
            config: YAML file, mapping or `motet.Config`.

        Returns:
            The model, untrained.

        Raises:
            ConfigError: If anything is wrong or a size is missing; every problem is named.

        Example:
            >>> model = MultiTaskModel.from_config({
            ...     "inputs": {"age": "number", "job": {"type": "category", "size": 12}},
            ...     "tasks": {"churn": {"type": "classification", "classes": ["no", "yes"]}},
            ... })
            >>> rows = {"numbers": torch.tensor([[40.0]]), "categories": torch.tensor([[2]])}
            >>> tuple(model(rows)["churn"].shape)
            (1, 2)
        """
        config, sizes, collector = declared(config)
        with collector.at("model"):
            model = MultiTaskModel.from_sizes(config, sizes)
        collector.stop()
        return model

    @staticmethod
    def from_sizes(config: Config, sizes: Sizes) -> "MultiTaskModel":
        """Build the model of a config for rows of known sizes.

        Args:
            config: The config; the first weights are drawn from its seed.
            sizes: What the model needs to know about rows and labels.

        Returns:
            The model, untrained.
        """
        with drawing_first_weights(config.training.seed):
            return MultiTaskModel(**arguments_of(config, sizes))

    @property
    def active_tasks(self) -> tuple[str, ...]:
        """Names of the enabled tasks."""
        return tuple(name for name, enabled in self._enabled.items() if enabled)

    def add_task(self, task: Task) -> None:
        """Add a task, with a head and what the sharing scheme makes for it.

        The other tasks predict what they did. To train the new one alone, disable them meanwhile.
        Trainers and balancers made before know nothing of it: make new ones.

        Args:
            task: The task; its name must be new.

        Raises:
            InputError: If its name cannot be used, or the sharing scheme cannot take one more.
        """
        task_names([*self.tasks, task])
        like = next(self.parameters())
        head = task.make_head(self.sharing.width).to(like.device, like.dtype)
        self.sharing.add_task(task.name)
        self.heads.add(task.name, head)
        self.tasks.add(task.name, task.to(like.device, like.dtype))
        self._enabled[task.name] = task.enabled

    def enable_task(self, task: str) -> None:
        """Compute and train a task again."""
        self._enabled[self._known(task)] = True

    def disable_task(self, task: str) -> None:
        """Leave a task out: its head is neither computed nor trained, and costs nothing."""
        self._enabled[self._known(task)] = False

    def freeze(self, *parts: str, evaluation: bool = False) -> None:
        """Stop training parts.

        Args:
            *parts: "encoder" (all that tasks share), "pretrained" (encoders that were trained
                before), a task (its own parameters), or patterns of names of parameters and
                modules; see `motet.model.parts.find`.
            evaluation: Whether modules that are frozen as a whole compute as in evaluation from
                now on, without dropout and with BatchNorm's averages as they are.

        Raises:
            InputError: If there is no such part.
        """
        self._freeze(map(self.get_parameter, find(self, parts)), evaluation)

    def unfreeze(self, *parts: str) -> None:
        """Train parts again; see `freeze`."""
        self._unfreeze(map(self.get_parameter, find(self, parts)))

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the parameters that are not trained."""
        return tuple(name for name, p in self.named_parameters() if not p.requires_grad)

    @property
    def held(self) -> tuple[str, ...]:
        """Names of those of them whose modules compute as in evaluation."""
        held = set(map(id, held_parameters(self)))
        return tuple(name for name, p in self.named_parameters() if id(p) in held)

    def describe(self) -> dict[str, Any]:
        """Return what the model is made of, as plain values.

        ``shared`` and each task under ``tasks`` say how many parameters they have and how many of
        those are frozen; a task also says its kind, outputs, loss and metrics. ``sharing`` is what
        ``model.sharing.describe()`` says.
        """
        tasks = {
            task.name: {
                "kind": task.kind,
                "enabled": self._enabled[task.name],
                "main": task.main,
                "outputs": task.outputs,
                "loss": getattr(task, "loss_name", "custom"),
                "metrics": [m if isinstance(m, str) else m.__name__ for m in task.metrics],
                **_sizes(self.task_parameters(task.name)),
            }
            for task in self.tasks
        }
        return {
            "active_tasks": list(self.active_tasks),
            "width": self.sharing.width,
            "shared": _sizes(self.shared_parameters()),
            "sharing": self.sharing.describe(),
            "tasks": tasks,
        }

    def forward(self, inputs: Any, tasks: str | Iterable[str] | None = None) -> dict[str, Tensor]:
        """Compute raw outputs.

        Args:
            inputs: What the encoder takes.
            tasks: Which tasks to compute, or the name of one; all enabled ones if left out.

        Returns:
            The raw output of each task, in the order asked for.

        Raises:
            InputError: If a task is unknown, the inputs do not fit the encoder, or what it returns
                does not fit the heads.
        """
        chosen = self._chosen(tasks)
        states = self._represented(inputs, chosen)
        return {task: self.heads[task](self._fitting(task, states[task])) for task in chosen}

    def represent(self, inputs: Any, tasks: str | Iterable[str] | None = None) -> Tensor:
        """Compute what the heads are given, one state per row.

        Args:
            inputs: What the encoder takes.
            tasks: Tasks with the same representation, as all have with hard sharing, or one task.

        Returns:
            Representations, (B, D).

        Raises:
            InputError: If the tasks' representations are not the same, or the model was wrapped.
        """
        chosen = self._chosen(tasks)
        if not self.sharing.width:
            raise InputError("a wrapped module does not show its representation; call its encoder")
        states = self._represented(inputs, chosen)
        first = states[chosen[0]]
        if any(states[task] is not first for task in chosen[1:]):
            raise InputError(
                f"tasks {', '.join(chosen)} have a representation of their own each; say whose, "
                f"for example task={chosen[0]!r}"
            )
        first = first.pooled if isinstance(first, TokenStates) else first
        if not isinstance(first, Tensor):
            raise InputError(no_features(first, self.sharing.width))
        return first

    def loss_terms(
        self, raw: Mapping[str, Tensor], targets: Mapping[str, Tensor | None]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Compute losses over labelled elements, of tasks that have targets.

        Returns:
            ``{task: (sum, count)}``.

        Raises:
            InputError: If raw outputs or targets are not given by task, or a task is unknown.
        """
        for what, given in (("raw", raw), ("targets", targets)):
            if not isinstance(given, Mapping):
                raise InputError(f"{what}: found {described(given)}, expected {{task: tensor}}")
        for task in targets:
            self._known(task)
        terms = {}
        for task, output in raw.items():
            target = targets.get(self._known(task))
            if target is not None:
                terms[task] = self.tasks[task].loss(output, target)
        return terms

    def losses(
        self, raw: Mapping[str, Tensor], targets: Mapping[str, Tensor | None]
    ) -> dict[str, Tensor]:
        """Compute the mean loss of each task; tasks without any label are left out.

        Args:
            raw: Raw outputs, as the model returns them.
            targets: Targets by task. NaN, -100 or None stand for "not labelled".

        Returns:
            A scalar per task.
        """
        return mean_losses(self.loss_terms(raw, targets))

    def decode(self, raw: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Turn raw outputs into predictions in original units."""
        return {task: self.tasks[self._known(task)].decode(output) for task, output in raw.items()}

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """List the parameters that only this task reaches; tied weights are shared."""
        return self._own()[self._known(task)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """List the parameters that several tasks may reach, as far as `ownership` knows."""
        own = {id(p) for parameters in self._own().values() for p in parameters}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]

    def note_reached(self, reached: Mapping[Tensor, Iterable[str]]) -> None:
        """Note which tasks' outputs depend on each leaf of the graph of a forward pass.

        Args:
            reached: As `motet.balancing.reached_tasks` returns it. Leaves that are no parameters of
                the model are left out.
        """
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        self.ownership.add(
            {names[id(leaf)]: tasks for leaf, tasks in reached.items() if id(leaf) in names}
        )

    def _own(self) -> dict[str, list[nn.Parameter]]:
        parts = {task: list(self.sharing.task_parameters(task)) for task in self.tasks.names}
        single = {id(parameter) for part in parts.values() for parameter in part}
        common = [p for p in self.sharing.parameters() if id(p) not in single]
        held = {
            task: [*self.heads[task].parameters(), *self.tasks[task].parameters(), *part]
            for task, part in parts.items()
        }
        return self.ownership.own(self, common, held)

    def _known(self, task: str) -> str:
        if not isinstance(task, str) or task not in self._enabled:
            raise InputError(f"no task is named {task!r}; {hint(str(task), self._enabled)}")
        return task

    def _chosen(self, tasks: str | Iterable[str] | None) -> tuple[str, ...]:
        if tasks is None:
            return self.active_tasks
        chosen = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        known = tuple(self._enabled)  # what is no name need not be hashable
        for task in chosen:
            if task not in known:
                self._known(task)
        return chosen

    def _represented(self, inputs: Any, tasks: Sequence[str]) -> Mapping[str, Representation]:
        compute: Callable[..., Mapping[str, Representation]] = self.sharing
        if torch.compiler.is_compiling():  # a graph break in `try` leaves the caller uncompiled
            return compute(inputs, tasks)
        try:
            return compute(inputs, tasks)
        except EXPLAINED as error:
            what = "the encoder" if self.sharing.width else "the wrapped module"
            problem = explained(error, inputs, what)
            if problem is None:
                raise
            raise problem from error

    def _fitting(self, task: str, state: Representation) -> Representation:
        """Return what the task reads of its representation, held to the width of its head."""
        width = self.sharing.width
        if not width:
            return state
        if self.tasks[task].reads == "tokens":
            return self._tokens(task, state)
        if isinstance(state, TokenStates):
            state = state.pooled
        if not isinstance(state, Tensor):
            raise InputError(no_features(state, width))
        if state.dim() < 2 or state.shape[-1] != width:
            right = state.shape[-1]
            remedy = (
                f"give MultiTaskModel(..., width={right})" if state.dim() == 2 else "flatten them"
            )
            raise InputError(
                f"the encoder gave features of shape {tuple(state.shape)}, expected (B, {width}); "
                f"{remedy}"
            )
        return state

    def _tokens(self, task: str, state: Representation) -> TokenStates:
        if not isinstance(state, TokenStates):
            raise InputError(needs_tokens(self.tasks[task], f"gave {described(state)}"))
        width, (states, padding, _) = self.sharing.width, state
        if states.shape[2:] != (width,) or padding.shape != states.shape[:2]:
            raise InputError(
                f"the encoder gave states of shape {tuple(states.shape)} and padding of shape "
                f"{tuple(padding.shape)}, expected (B, L, {width}) and (B, L)"
            )
        return state


def _sizes(parameters: list[nn.Parameter]) -> dict[str, int]:
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "frozen": sum(parameter.numel() for parameter in frozen),
    }
