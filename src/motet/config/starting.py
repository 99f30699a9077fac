"""Where a run starts from an earlier run: ``from_run``, of all, of an input, or of a task."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from motet.config.members import Member, Section
from motet.options import Place


class FromRun(Section):
    """An earlier run, and what is taken of it."""

    path: Annotated[str, Place()]
    """Folder of the run, or its ``model/`` folder, relative to the config file."""
    parts: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """What is taken: ``encoder`` (all that tasks share, with the inputs), ``inputs.NAME`` (an input
    that has an encoder of its own), and tasks (their heads and labels, with the encoder). Left out:
    the encoder, and the heads of all tasks that both runs have."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        form = super().__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [{"type": "string"}, form]}


class Startable(Member):
    """A chosen input or task, which may start from an earlier run."""

    from_run: Annotated[str | None, Place()] = None
    """Folder of an earlier run from which it is taken, with what it learned: the encoder of an
    input that has its own, or the head of a task, with the encoder that it reads."""

    def options(self) -> dict[str, Any]:
        """Return the options of the member itself as plain values, defaults included."""
        return self.model_dump(exclude={"type", "from_run"})
