"""The multi-task model: inputs through an encoder and a sharing scheme to one head per task."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motet.config import Config
from motet.encoders import Fusion, Joined
from motet.model.building import arguments_of, declared, drawing_first_weights
from motet.model.checks import EXPLAINED, described, explained, task_names
from motet.model.composing import composed
from motet.model.facade import Facade
from motet.model.heads import HeadArguments, make_head, of_labelled_rows, start_alike
from motet.model.joining import FusionChoice, one_encoder
from motet.model.losses import loss_terms, mean_losses
from motet.model.ownership import Ownership
from motet.model.parameters import OwnedParameters, adapter_counts, count_parameters
from motet.model.reads import Order, Reading
from motet.model.sizes import Sizes
from motet.model.wrapped import WrappedModule, check_wrapped
from motet.options import known_options
from motet.problems import MALFORMED, InputError, about
from motet.sharing import Backbone, ByTask, Representation, SharedModule, Sharing
from motet.sharing.tied import tied_in
from motet.tasks import Prediction, Task
from motet.tasks.members import prediction_of
from motet.tasks.wrong_labels import refuse_wrong_labels


class MultiTaskModel(OwnedParameters):
    """An encoder, a sharing scheme and a head per task.

    ``model(inputs)`` gives the raw outputs, ``{task: tensor}``; `decode` turns them into
    predictions, `losses` compares them with targets. Disabled tasks are not computed at all.

    Args:
        encoder: Any module that maps the inputs to features (B, width), or to another state that
            tasks read: `motet.states.TokenStates` of that width for word labels, or a map (B,
            width, H, W). Schemes that split it or need several cut it into stages: the layers of
            an ``nn.Sequential``, a list of modules, what a module lists in ``stages``, or a
            function without arguments that makes one of these.
        tasks: The tasks; their order is the order of every ``{task: ...}``.
        width: Width of the features; read from the encoder's last layer if left out.
        sharing: Sharing scheme; hard sharing if left out.
        encoders: Several encoders in place of ``encoder``, by the name of their input; the model
            then takes ``{name: input}``.
        fusion: What joins their features: a name of ``motet list fusions``, or what makes a
            `motet.encoders.Fusion` from their widths; they are concatenated if left out.

    Raises:
        InputError: If the width cannot be read, a task name is repeated or not allowed, or a task
            reads a state that the encoder does not give.

    Example:
        >>> from motet.tasks import Classification, Regression
        >>> tasks = [Classification("digit", classes=10), Regression("area")]
        >>> model = MultiTaskModel(nn.Linear(4, 8), tasks)
        >>> {task: tuple(raw.shape) for task, raw in model(torch.zeros(3, 4)).items()}
        {'digit': (3, 10), 'area': (3,)}
    """

    @known_options
    def __init__(
        self,
        encoder: Backbone | None = None,
        tasks: Sequence[Task] = (),
        width: int | None = None,
        sharing: Sharing | None = None,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        fusion: FusionChoice | None = None,
    ) -> None:
        super().__init__()
        task_names(tasks)
        backbone = one_encoder(encoder, encoders, fusion, tasks)
        self._assemble(*composed(backbone, tasks, width, sharing), tasks)

    def _assemble(self, shared: SharedModule, reading: Reading, tasks: Sequence[Task]) -> None:
        self.sharing = shared
        self.tasks: ByTask[Task] = ByTask({})
        self.heads: ByTask[nn.Module] = ByTask({})
        self._reading, self._arguments = reading, HeadArguments()
        self._order = Order(tasks)
        self._order.check_latent(tasks)
        self._enabled = {}
        for task in tasks:
            self._append(task, self._head(task, tasks))
        tied = tied_in(shared)
        if tied is not None and tied.found["by"] == "gradients":
            with about("sharing"):
                start_alike({task: self.heads[task] for task in tied.counterparts()})
        self.ownership = Ownership(declared=shared.declares_own)

    def _head(self, task: Task, tasks: Iterable[Task]) -> nn.Module:
        width, others = self._reading.add(task), {each.name: each for each in tasks}
        task.members = self.members
        head: nn.Module = nn.Identity()
        if width:
            head = make_head(task, width, others, self._reading.width_of, self.members)
        self._arguments.add(task, head)
        return head

    def _append(self, task: Task, head: nn.Module) -> None:
        self.heads.add(task.name, head)
        self.tasks.add(task.name, task)
        self._enabled[task.name] = task.enabled

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
                them, they are found in the graph of the first step, too late to freeze them or to
                set their learning rate.

        Returns:
            A model that computes exactly what ``module`` computes.

        Raises:
            InputError: If one of the modules is none, ``heads`` names an unknown task, or a task
                has an option without effect.
        """
        names = task_names(tasks)
        check_wrapped(module, tasks, names, heads or {})
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        shared = WrappedModule(module, heads or {}, names)
        model._assemble(shared, Reading(shared.width, maps=False), tasks)
        return model

    @staticmethod
    def from_config(config: str | Path | Mapping[str, Any] | Config) -> "MultiTaskModel":
        """Build the model of a config that gives all sizes; no data are read.

        A category needs its ``size``, a vector its ``width``, a classification or multi-label task
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
            ConfigError: If anything is wrong or a size is missing; all problems are reported.

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

    def facade(self, primary: str | None = None) -> Facade:
        """Return the model as one whose call gives the output of one task alone.

        Args:
            primary: The task; the first main task if left out.

        Returns:
            The façade.
        """
        return Facade(self, primary)

    @property
    def encoder(self) -> nn.Module:
        """The module that all tasks share, from inputs to the features that heads read.

        Raises:
            InputError: If tasks do not share one, as with experts or an encoder per task.
        """
        chain = self.sharing.chain()
        if not chain:
            raise InputError(
                f"tasks do not share one encoder; the modules are in model.sharing: "
                f"{self.sharing.describe()}"
            )
        return chain[0] if len(chain) == 1 else nn.Sequential(*chain)

    @property
    def members(self) -> int | None:
        """Number of members, if the encoder is an ensemble; raw outputs are then (B, K, ...)."""
        return self._reading.members

    def readers(self, task: str) -> list[str]:
        """Return the enabled tasks that read a task, by themselves or through others."""
        return self._order.readers(self._known(task), self.active_tasks)

    def add_task(self, task: Task) -> None:
        """Add a task, with a head and what the sharing scheme makes for it.

        The predictions of the other tasks do not change. To train the new one alone, disable them
        meanwhile. Existing trainers and balancers do not include it: make new ones.

        Args:
            task: The task; its name must be new.

        Raises:
            InputError: If its name is not allowed, or the sharing scheme does not support it.
        """
        task_names([*self.tasks, task])
        order = Order([*self.tasks, task])
        order.check_latent([*self.tasks, task])
        like = next(self.parameters())
        head = self._head(task, [*self.tasks, task]).to(like.device, like.dtype)
        self.sharing.add_task(task.name)
        self._append(task.to(like.device, like.dtype), head)
        self._order = order

    @property
    def fusion(self) -> Fusion | None:
        """What joins the features of several encoders; None of one encoder.

        Of copies, which sharing may have made, the first. Its ``weights`` are those of the last
        forward pass.
        """
        joined = next((each for each in self.modules() if isinstance(each, Joined)), None)
        return None if joined is None or len(joined.branches()) < 2 else joined.fusion

    def describe(self) -> dict[str, Any]:
        """Return a description of the model, as plain values.

        ``shared`` and each task under ``tasks`` have the number of parameters and of frozen ones; a
        task also its kind, outputs, loss and metrics. ``sharing`` is ``model.sharing.describe()``,
        ``fusion`` that of the fusion of several encoders. Where encoders have adapters,
        ``adapters`` has the number of parameters of each.
        """
        tasks = {
            task.name: {
                "kind": task.kind,
                "enabled": self._enabled[task.name],
                "main": task.main,
                "outputs": task.outputs,
                "loss": getattr(task, "loss_name", "custom"),
                "metrics": [m if isinstance(m, str) else m.__name__ for m in task.metrics],
                **count_parameters(self.task_parameters(task.name)),
            }
            for task in self.tasks
        }
        return {
            "active_tasks": list(self.active_tasks),
            "width": self.sharing.width,
            **({} if self.members is None else {"members": self.members}),
            "shared": count_parameters(self.shared_parameters()),
            "sharing": self.sharing.describe(),
            **({} if (fusion := self.fusion) is None else {"fusion": fusion.describe()}),
            "tasks": tasks,
            **({"adapters": adapters} if (adapters := adapter_counts(self)) else {}),
        }

    def forward(
        self,
        inputs: Any,
        tasks: str | Iterable[str] | None = None,
        targets: Mapping[str, Tensor | None] | None = None,
        rows: Mapping[str, slice | Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Compute raw outputs.

        Args:
            inputs: What the encoder takes.
            tasks: Which tasks to compute, or the name of one; all enabled ones if left out. Those
                that they read are computed too.
            targets: Targets by task, where losses will follow: for heads that take them.
            rows: For each task, the rows that it is computed on; all if left out. Not for tasks
                that read others, nor for heads that take their target.

        Returns:
            The raw output of each task, in the order asked for.

        Raises:
            InputError: If a task is unknown, the inputs do not fit the encoder, or what it returns
                does not fit the heads.
        """
        chosen = self._chosen(tasks)
        order = self._order.closure(chosen) if self._order.any else chosen
        states = self._represented(inputs, order)
        if rows is not None:
            read = {task: self._reading(task, states[task])[rows[task]] for task in chosen}
            return {task: self.heads[task](state) for task, state in read.items()}
        return self._outputs(states, order, chosen, targets)

    def evaluated(
        self,
        inputs: Any,
        tasks: str | Iterable[str] | None = None,
        targets: Mapping[str, Tensor | None] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute raw outputs for losses, and those for the metrics of predictions.

        They are the same unless a head takes its target, which a prediction must not use. Inputs
        are encoded once.

        Args:
            inputs: What the encoder takes.
            tasks: As for `forward`.
            targets: Targets by task.

        Returns:
            The raw output of each task with its target, and without; the latter may be missing in
            rows that have no label.
        """
        chosen = self._chosen(tasks)
        order = self._order.closure(chosen) if self._order.any else chosen
        if self._arguments.forced.isdisjoint(order):
            raw: dict[str, Tensor] = self(inputs, chosen, targets)
            return raw, raw
        states = self._represented(inputs, order)
        reading = [task for task in chosen if self._arguments.reads(task)]
        bare = self._outputs(states, self._order.closure(reading), reading, None)
        for task in self._arguments.forced.intersection(chosen).difference(reading):
            state, target = self._reading(task, states[task]), (targets or {}).get(task)
            if target is not None:
                known = self.tasks[task].labelled(target)
                bare[task] = of_labelled_rows(self.heads[task], state, known)
        forced = self._outputs(states, order, chosen, targets)
        return forced, {**forced, **bare}

    def _outputs(
        self,
        states: Mapping[str, Representation],
        order: Sequence[str],
        chosen: Sequence[str],
        targets: Mapping[str, Tensor | None] | None,
    ) -> dict[str, Tensor]:
        heads, reading, arguments = self.heads, self._reading, self._arguments
        if arguments.tasks.isdisjoint(order):
            return {task: heads[task](reading(task, states[task])) for task in chosen}
        raw: dict[str, Tensor] = {}
        for task in order:
            more = arguments.of(task, raw, targets, lambda name: reading.features(states[name]))
            try:
                raw[task] = heads[task](reading(task, states[task]), **more)
            except MALFORMED as error:
                if (target := more.get("target")) is not None:
                    refuse_wrong_labels(self.tasks[task], target, error)
                raise
        return {task: raw[task] for task in chosen}

    def takes_target(self, task: str) -> bool:
        """Return whether the head of a task gets its target where a loss follows."""
        return task in self._arguments.forced

    def states(self, inputs: Any, tasks: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Compute what the head of each task is given; see `motet.states`.

        Args:
            inputs: What the encoder takes.
            tasks: Which tasks, or the name of one; all enabled ones if left out.

        Returns:
            The state of each task; the raw outputs of a wrapped module.
        """
        chosen = self._chosen(tasks)
        states = self._represented(inputs, chosen)
        return {task: self._reading(task, states[task]) for task in chosen}

    def represent(self, inputs: Any, tasks: str | Iterable[str] | None = None) -> Tensor:
        """Compute what the heads are given, one state per row.

        Args:
            inputs: What the encoder takes.
            tasks: Tasks with the same representation, as all have with hard sharing, or one task.

        Returns:
            Representations, (B, D).

        Raises:
            InputError: If the tasks' representations are not the same, there is no task, or the
                model was wrapped.
        """
        chosen = self._chosen(tasks)
        if not self.sharing.width:
            raise InputError("the representation of a wrapped module is unknown; call its encoder")
        if not chosen:
            raise InputError("found no task whose representation to compute; name or enable one")
        states = self._represented(inputs, chosen)
        first = states[chosen[0]]
        if any(states[task] is not first for task in chosen[1:]):
            raise InputError(
                f"each of the tasks {', '.join(chosen)} has its own representation; name one, for "
                f"example task={chosen[0]!r}"
            )
        return self._reading.pooled(first)

    def loss_terms(
        self,
        raw: Mapping[str, Tensor],
        targets: Mapping[str, Tensor | None],
        weights: Mapping[str, Tensor | None] | None = None,
        soft: Mapping[str, Tensor | None] | None = None,
        share: float = 1.0,
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Compute losses over labelled elements, of tasks that have targets.

        Args:
            raw: Raw outputs, as the model returns them.
            targets: Targets by task. NaN, -100 or None stand for "not labelled".
            weights: How much each row counts, (B,) by task, 0 as if it had no label; every row
                alike where there are none.
            soft: What teachers predict for the rows, by task; see `motet.data.batches.Batch`.
            share: How much the loss against that counts; the loss of the labels counts for the
                rest.

        Returns:
            ``{task: (sum, count)}``.

        Raises:
            InputError: If raw outputs, targets or weights are not given by task, a task is unknown,
                or its class does not take weights.
        """
        for what, given in (("raw", raw), ("targets", targets), ("weights", weights or {})):
            if not isinstance(given, Mapping):
                raise InputError(f"{what}: found {described(given)}, expected {{task: tensor}}")
        for task in (*targets, *raw):
            if task not in self._enabled:  # costs no call
                self._known(task)
        return loss_terms(self.tasks, raw, targets, weights or {}, soft or {}, share)

    def losses(
        self,
        raw: Mapping[str, Tensor],
        targets: Mapping[str, Tensor | None],
        weights: Mapping[str, Tensor | None] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the mean loss of each task; tasks without any label are left out.

        Args:
            raw: Raw outputs, as the model returns them.
            targets: Targets by task. NaN, -100 or None stand for "not labelled".
            weights: How much each row counts, (B,) by task; see `loss_terms`.

        Returns:
            A scalar per task.
        """
        return mean_losses(self.loss_terms(raw, targets, weights))

    def decode(self, raw: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Turn raw outputs into predictions in original units."""
        known = {self._known(task): output for task, output in raw.items()}
        return {task: prediction_of(self.tasks[task], each) for task, each in known.items()}

    def _chosen(self, tasks: str | Iterable[str] | None) -> tuple[str, ...]:
        if tasks is None:
            return self.labelled_tasks
        chosen = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        known = tuple(self._enabled)  # something that is not a name may not be hashable
        for task in chosen:
            if task not in known:
                self._known(task)
        return chosen

    def _represented(self, inputs: Any, tasks: Sequence[str]) -> Mapping[str, Representation]:
        compute: Callable[..., Mapping[str, Representation]] = self.sharing
        if torch.compiler.is_compiling():  # a graph break in `try` leaves the caller uncompiled
            return self._reading.by_member(compute(inputs, tasks))
        try:
            states = compute(inputs, tasks)
            return states if self._reading.members is None else self._reading.by_member(states)
        except EXPLAINED as error:
            what = "the encoder" if self.sharing.width else "the wrapped module"
            if (problem := explained(error, inputs, what)) is None:
                raise
            raise problem from error
