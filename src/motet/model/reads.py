"""What each task reads: a state of the encoder, and the raw outputs of other tasks.

Both are checked when a model is made, as far as the encoder declares what it gives; what it returns
is checked at each call.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from motet.encoders import Encoder, Joined
from motet.model.checks import described, no_features
from motet.problems import InputError, shown
from motet.sharing import Representation, Sharing, Stages
from motet.states import FORMS, provided, record_of
from motet.task_order import task_order
from motet.tasks import Task


def states_read(task: Task | type[Task]) -> tuple[str, ...]:
    """Return the names of the states that a task can read, the preferred one first."""
    names = task.reads_state
    return (names,) if isinstance(names, str) else names


class Reading:
    """Selects what the head of each task gets from what the sharing scheme returns.

    Args:
        width: Width of that; 0 of a wrapped module, whose outputs are used as they are.
        widths: The width of each of several states by name, if the encoder gives several.
        maps: Whether the encoder gives a map.
        direct: The tasks that read the encoder itself, if some do; ``widths`` is then for them.
        members: How many members the encoder has, if it is an ensemble.
    """

    def __init__(
        self,
        width: int,
        widths: Mapping[str, int] | None = None,
        *,
        maps: bool,
        direct: Collection[str] = (),
        members: int | None = None,
    ) -> None:
        self._width, self._widths, self._maps, self.members = width, widths or {}, maps, members
        self._direct = direct
        self._tasks: dict[str, tuple[tuple[str, ...], int]] = {}

    def add(self, task: Task) -> int:
        """Add a task.

        Returns:
            The width of what its head gets.
        """
        _, width = self._tasks[task.name] = self._read_by(task)
        return width

    def width_of(self, task: Task) -> int:
        """Return the width of what the head of a task gets."""
        return self._read_by(task)[1]

    def _read_by(self, task: Task) -> tuple[tuple[str, ...], int]:
        names = states_read(task)
        widths = self._widths if not self._direct or task.name in self._direct else {}
        names = tuple(name for name in names if name in widths)[:1] or names
        return names, widths.get(names[0], self._width)

    def by_member(self, states: Mapping[str, Representation]) -> Mapping[str, Representation]:
        """Return states of members, rows (B K, D), as (B, K, D); all others as they are.

        Raises:
            InputError: If the rows are not K times as many.
        """
        if self.members is None:
            return states
        apart: dict[int, Tensor] = {}  # tasks that share a state share what is made of it
        for state in states.values():
            if not isinstance(state, Tensor) or state.dim() != 2 or state.shape[0] % self.members:
                raise InputError(
                    f"the encoder gave {described(state)}, expected rows of {self.members} "
                    "members each, (B members, D), those of a row next to each other"
                )
            if id(state) not in apart:
                rows = state.shape[0] // self.members
                apart[id(state)] = state.reshape(rows, self.members, state.shape[1])
        return {task: apart[id(state)] for task, state in states.items()}

    def __call__(self, task: str, state: Representation) -> Any:
        """Return what the head of a task gets.

        Raises:
            InputError: If it is missing, or has another width.
        """
        names, width = self._tasks[task]
        if not width:
            return state
        plain = names[-1] == "rows" and not self._maps and isinstance(state, Tensor)
        if plain and state.dim() > 1 and state.shape[-1] == width:  # type: ignore[union-attr]  # a tensor
            return state
        name = next((each for each in names[:-1] if self._gives(each, state)), names[-1])
        return self._checked(task, name, width, state)

    def pooled(self, state: Representation) -> Tensor:
        """Return one state per row.

        Raises:
            InputError: If there is none.
        """
        given = state.get("rows") if isinstance(state, Mapping) else state
        record = record_of(given, maps=self._maps, members=self.members is not None)
        if record is None:
            raise InputError(no_features(state, self._width))
        return record.pooled

    def features(self, state: Representation) -> Tensor:
        """Return one state per row, or per row and member, for the heads of other tasks."""
        if self.members is not None and isinstance(state, Tensor):
            return state
        return self.pooled(state)

    def _gives(self, name: str, state: Representation) -> bool:
        if isinstance(state, Mapping):
            return name in state
        record = record_of(state, maps=self._maps)
        return record is not None and record.read(name) is not None

    def _checked(self, task: str, name: str, width: int, state: Representation) -> Any:
        several = isinstance(state, Mapping)
        given = state.get(name) if isinstance(state, Mapping) else state
        record = record_of(given, maps=self._maps or several)
        found = given if several and name not in FORMS else record and record.read(name)
        if found is None:
            if name == "rows":
                raise InputError(no_features(state, width))
            raise InputError(_missing(task, name, f"gave {described(state)}"))
        if record is not None and (problem := record.misfit(width)):
            raise InputError(f"the encoder gave {problem}{_remedy(name, state)}")
        return found


def _remedy(name: str, state: Representation) -> str:
    if name != "rows" or not isinstance(state, Tensor):
        return ""
    if state.dim() == 2:
        width = state.shape[-1]
        return f"; set the encoder's `width` to {width}, or give MultiTaskModel(..., width={width})"
    return "; flatten them"


def _missing(task: str, name: str, found: str) -> str:
    form = f" ({FORMS[name]})" if name in FORMS else ""
    return f"task {task!r} reads {name}{form}, but the encoder {found}; {_how(name)}"


def _how(name: str) -> str:
    return {
        "rows": "return one of its tensors",
        "tokens": "expected an encoder that returns motet.states.TokenStates, one state per word",
        "map": "expected an encoder that returns a tensor (B, D, H, W), such as that of an image "
        "alone, as a fusion of several inputs gives one state per row",
    }.get(name, f"expected an encoder that returns {{{name!r}: state, ...}}")


def check_states(tasks: Sequence[Task], stages: Stages, sharing: Sharing) -> bool:
    """Check that tasks read what the encoder gives and the sharing scheme carries.

    Args:
        tasks: The tasks.
        stages: The encoder.
        sharing: The scheme.

    Returns:
        Whether the encoder gives a map.

    Raises:
        InputError: If a task reads something else, or the encoder declares none of these.
    """
    gives: object = stages.gives
    if not (gives is None or isinstance(gives, str | Mapping)):
        raise InputError(
            f"the encoder declares gives = {shown(gives)}; expected a name such as 'tokens', or "
            "the width of each of several states: {name: width}"
        )
    there = provided(gives)
    for task in tasks:
        names = states_read(task)
        name = next((each for each in names if there is None or each in there), names[-1])
        if there is not None and name not in there:
            forms = gives if isinstance(gives, str) else ", ".join(there)
            form = f" ({FORMS[forms]})" if forms in FORMS else ""
            raise InputError(_missing(task.name, name, f"gives {forms}{form}"))
        carried = sharing.carries == "any" or bool({*names} & {*sharing.carries})
        if not carried and not _direct(task, sharing):
            auxiliary = not task.label_kind.given and hasattr(sharing, "expert_width")
            other = ", or give it expert_width" if auxiliary else ""
            if name == "map" and getattr(sharing, "expert_width", None) is not None:
                other = ", or remove expert_width"
            raise InputError(
                f"task {task.name!r} reads {name}, but this sharing scheme carries "
                f"{' and '.join(sharing.carries)}; use sharing: hard, or soft{other}"
            )
    if gives is None:
        return any("map" in states_read(task) for task in tasks)
    return gives == "map"


def members_of(encoder: Stages) -> int | None:
    """Return how many members an encoder has that gives states of members; None if it does not.

    Raises:
        InputError: If it does not declare how many.
    """
    if encoder.gives != "members":
        return None
    found = getattr(encoder.whole or encoder[-1], "members", None)
    if not isinstance(found, int) or found < 1:
        raise InputError(
            f"the encoder declares gives = 'members' and members = {shown(found)}; expected how "
            "many there are: set self.members in its constructor"
        )
    return found


def direct_tasks(tasks: Sequence[Task], sharing: Sharing) -> list[str]:
    """Return the tasks that read the encoder itself, as the scheme does not carry what they read.

    Only auxiliary tasks do, as they train what the others read.
    """
    if sharing.carries == "any":
        return []
    return [t.name for t in tasks if t.reads_state not in sharing.carries and _direct(t, sharing)]


def _direct(task: Task, sharing: Sharing) -> bool:
    return sharing.keeps_encoder and not task.label_kind.given


def check_causal(tasks: Iterable[Task], encoder: nn.Module) -> None:
    """Check that an encoder can read texts without later tokens, for tasks that predict these.

    Args:
        tasks: The tasks.
        encoder: The encoder of the model, perhaps a `motet.encoders.Joined`.

    Raises:
        InputError: If it cannot.
    """
    for task in tasks:
        if not getattr(task, "causal", False):
            continue
        reader = encoder.reader(encoder.tokens) if isinstance(encoder, Joined) else encoder
        why = getattr(reader, "not_causal", Encoder.not_causal)
        if why:
            raise InputError(
                f"task {task.name!r} predicts tokens from those before them, but the encoder "
                f"{type(reader).__name__} {why}, or use masked_language_modelling"
            )


def _trained_by(task: Task) -> list[str]:
    reads = task.reads_of_tasks.items()
    return [name for name, read in reads if read.what == "output" and not read.detach]


class Order:
    """The order in which tasks are computed: each after those that it reads.

    Args:
        tasks: The tasks; one that reads an unknown one, or a circle, raises `InputError`.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._reads = {task.name: tuple(task.reads_tasks) for task in tasks}
        self.any = any(self._reads.values())
        """Whether any task reads another."""
        self._order = task_order(self._reads)
        self._trained_by = {task.name: _trained_by(task) for task in tasks}

    def closure(self, tasks: Sequence[str]) -> list[str]:
        """Return tasks and all that they read, in the order in which to compute them."""
        needed: set[str] = set()
        left = list(tasks)
        while left:
            task = left.pop()
            if task not in needed:
                needed.add(task)
                left += self._reads[task]
        return [task for task in self._order if task in needed]

    def trained(self, task: str) -> list[str]:
        """Return a task and those whose heads its loss trains, as it reads their outputs."""
        found = [task]
        for each in found:  # it grows meanwhile
            found += [name for name in self._trained_by[each] if name not in found]
        return found

    def check_latent(self, tasks: Iterable[Task]) -> None:
        """Check that some task trains each latent one.

        Raises:
            InputError: If none does.
        """
        tasks = list(tasks)
        trained = {n for t in tasks if not t.latent for n in self.trained(t.name)}
        for task in tasks:
            if task.name not in trained:
                raise InputError(
                    f"task {task.name!r} is latent, so it needs another task that trains it: give "
                    f"one product: [..., {task.name}], or reads: {{{task.name}: {{detach: false}}}}"
                )

    def readers(self, task: str, among: Iterable[str]) -> list[str]:
        """Return those of some tasks that read a task, by themselves or through others."""
        return [each for each in among if each != task and task in self.closure([each])]
