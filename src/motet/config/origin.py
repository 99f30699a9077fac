"""Where a config came from, and problems that name the place where a key was given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from motet.config.members import Section
from motet.config.yaml_positions import Document, Position
from motet.problems import InputError

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where a config came from: the file, the line and column of each key, and overrides."""

    file: Path | None = None
    document: Document = field(default_factory=lambda: Document(None, {}, {}, []))
    overrides: Mapping[Key, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder that relative paths in the config start from."""
        return self.file.parent if self.file else Path.cwd()

    def problem(self, key: Key, message: str, *, at_key: bool = False) -> "Problem":
        """Return a problem at a key, with the place where the key was given."""
        given = self._override(key)
        if given:
            return Problem(key, message, f"override {given!r}", None)
        name = str(self.file) if self.file else "config"
        return Problem(key, message, name, self._position(key, at_key))

    def gave(self, key: Key) -> bool:
        """Whether a key itself is in the file or an override, not only its parent."""
        return key in self.overrides or key in self.document.values

    def _override(self, key: Key) -> str:
        """Find the override that gave a key, or made it by giving a part of it."""
        for path, text in self.overrides.items():
            if key[: len(path)] == path:
                return text
        if not key or key in self.document.values:
            return ""
        inside = [text for path, text in self.overrides.items() if path[: len(key)] == key]
        return inside[-1] if inside else ""

    def _position(self, key: Key, at_key: bool) -> Position | None:
        keys, values = self.document.keys, self.document.values
        for end in range(len(key), -1, -1):
            at = key[:end]
            own, inside = keys.get(at), values.get(at)
            if end < len(key) or at_key or (own and inside and inside.line > own.line):
                inside = own or inside  # a missing part, or a block that starts below its key
            if inside:
                return inside
        return None


@dataclass(frozen=True)
class Problem:
    """One problem of a config."""

    key: Key
    message: str
    place: str
    position: Position | None

    def __str__(self) -> str:
        where = ":".join([self.place, *map(str, self.position or ())])
        key = ".".join(map(str, self.key)) or "config"
        return f"{where}  {key if key.isprintable() else repr(key)}: {self.message}"


class ConfigError(InputError):
    """A config cannot be used.

    Args:
        problems: All problems.
        partial: The valid rest of the config, if that is a config.
        origin: Where the config came from.
    """

    def __init__(
        self,
        problems: Iterable[Problem],
        partial: Section | None = None,
        origin: Origin | None = None,
    ) -> None:
        last = Position(1 << 30, 0)
        self.problems = sorted(problems, key=lambda problem: problem.position or last)
        self.partial = partial
        self.origin = origin or Origin()
        super().__init__("\n".join(map(str, self.problems)))
