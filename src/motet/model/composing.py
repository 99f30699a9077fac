"""An encoder and a sharing scheme as one module, and what the head of each task reads of it."""

from collections.abc import Mapping, Sequence
from numbers import Integral

from motet.model.checks import width_of
from motet.model.reads import (
    Reading,
    check_causal,
    check_states,
    direct_tasks,
    members_of,
    states_read,
)
from motet.problems import InputError, about, shown
from motet.sharing import (
    Backbone,
    Direct,
    Features,
    Hard,
    SharedModule,
    Sharing,
    Stages,
    with_adapters,
)
from motet.tasks import Task


def composed(
    encoder: Backbone, tasks: Sequence[Task], width: int | None, sharing: Sharing | None
) -> tuple[SharedModule, Reading]:
    """Build what comes before the heads.

    Args:
        encoder: The encoder; see `motet.MultiTaskModel`, as for ``width``.
        tasks: The tasks.
        width: Width of the features; read from the encoder's last layer if left out.
        sharing: The scheme; hard sharing if left out.

    Returns:
        The scheme with the stages of the encoder, and what tasks read of its states. Tasks that
        the scheme does not carry read the whole encoder directly.

    Raises:
        InputError: If the width cannot be read, the scheme does not fit, or a task reads a state
            that the encoder does not give.
    """
    stages = whole = Stages.of(encoder)
    if sharing is not None and not isinstance(sharing, Sharing):
        raise InputError(
            f"found {shown(sharing)}, expected a sharing scheme, such as "
            'motet.sharing.create("mmoe", experts=4)',
            option="sharing",
        )
    sharing = sharing or Hard()
    maps = check_states(tasks, stages, sharing)
    check_causal(tasks, stages.whole or stages[-1])
    if width is not None and not _fits(width):
        raise InputError(f"found {shown(width)}, expected a whole number > 0", option="width")
    gives, width = stages.gives, width_of(stages) if width is None else width
    if sharing.carries != "any" and gives not in sharing.carries:
        stages = stages.of_rows()
    stages = stages.ending(Features(width, channels_first=maps))
    names, direct = [task.name for task in tasks], direct_tasks(tasks, sharing)
    with about("sharing"):
        shared = sharing.build(stages, [name for name in names if name not in direct], width)
    widths = gives if isinstance(gives, Mapping) and sharing.carries == "any" else {}
    if direct:
        shared = Direct(shared, whole, direct)
        read = [each for task in tasks if task.name in direct for each in states_read(task)]
        widths = dict.fromkeys(read, width)
    with about("sharing"):
        auxiliary = [task.name for task in tasks if not task.label_kind.given]
        shared = with_adapters(shared, sharing, names, auxiliary)
    members = members_of(whole)
    return shared, Reading(shared.width, widths, maps=maps, direct=direct, members=members)


def _fits(width: object) -> bool:
    return isinstance(width, Integral) and not isinstance(width, bool) and int(width) > 0
