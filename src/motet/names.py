"""A table of names: built-in members, those of users, and those of other installed packages.

Nothing is imported until a name is used. Entry points (`motet.installed`) are read when a table is
listed or a name is not in it.
"""

from collections import ChainMap
from collections.abc import Iterable, Iterator, MutableMapping
from pkgutil import resolve_name
from typing import Any

from motet.installed import Offer, offers
from motet.other_names import MEMBERS
from motet.problems import InputError, hint, with_article


class Registry:
    """The members of one kind: ``registry["name"]`` imports that member and returns it.

    Args:
        kind: Name of the kind.
        plural: The name of several, which `motet list` takes, and entry points after "motet.".
        base: "module:class" of which members are subclasses; empty if they may be any callable.
        special: A table whose members are members of this kind, too.
        **places: "module:object" by name.
    """

    def __init__(
        self,
        kind: str,
        plural: str,
        base: str = "",
        special: "Registry | None" = None,
        /,
        **places: str,
    ) -> None:
        self.kind, self.plural = kind, plural
        self.version = 0  # grows with every registration
        self._base = base
        self._own: dict[str, Any] = dict(places)
        self._places: MutableMapping[str, Any] = self._own
        self._complete = False  # whether entry points were read
        self._whole, self._special = self, special  # names must be free in the whole table
        if special is not None:
            self._places = ChainMap(self._own, special._own)
            special._whole = self

    @property
    def noun(self) -> str:
        """What messages call a member."""
        return _NOUNS.get(self.kind, self.kind)

    @property
    def one(self) -> str:
        """What messages call one member, with the article."""
        return with_article(self.noun)

    def __getitem__(self, name: str) -> Any:
        place = self.place(name)
        return resolve_name(place) if isinstance(place, str) else place

    def __iter__(self) -> Iterator[str]:
        every = self._all()
        return iter(every if self._special is None else {**self._own, **every})

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._all()

    def _all(self) -> MutableMapping[str, Any]:
        if self._special is not None:
            self._special._all()
        if not self._complete:
            self._own |= offers(f"motet.{self.plural}", self.noun, self._whole._places)
            self._complete = True
        return self._places

    def known(self, name: str) -> str:
        """Return ``name`` if a member has it.

        Raises:
            InputError: If none has; the message names the nearest.
        """
        if name not in self:
            raise InputError(f"no {self.noun} is named {name!r}; {self.hint(name)}")
        return name

    def hint(self, name: str, fitting: Iterable[str] | None = None) -> str:
        """Return "did you mean ...?", of the members or those that fit, or a list of them."""
        return hint(name, self if fitting is None else fitting, MEMBERS.get(self.kind))

    def find(self, member: Any) -> str | None:
        """Return the name of a class or function, None if it has none; nothing is imported."""
        place = f"{member.__module__}:{member.__qualname__}"
        for name, own in self._all().items():
            if own in (place, member) or (isinstance(own, Offer) and own.point.value == place):
                return name
        return None

    def name_of(self, member: type) -> str:
        """Return the name of a class.

        Raises:
            InputError: If it has none.
        """
        name = self.find(member)
        if name is None:
            raise InputError(
                f"the class {member.__qualname__} has no name as {self.one}; register it: "
                f"motet.register({self.kind!r}, name, {member.__name__})"
            )
        return name

    def place(self, name: str) -> Any:
        """Return "module:object" for a built-in member; any other is imported and returned."""
        place = self._places[self.known(name)]
        if isinstance(place, Offer):
            place = self._places[name] = place.load()
        return place

    def is_built_in(self, name: str) -> bool:
        """Whether a member is part of this package."""
        return isinstance(self._places[self.known(name)], str)

    def package(self, name: str) -> str | None:
        """Return the package that offers a member, None once it is imported or if it has none."""
        place = self._places[self.known(name)]
        return place.package if isinstance(place, Offer) else None

    def at_hand(self) -> list[str]:
        """List the members whose options are known without importing another package."""
        return [name for name in self if self.package(name) is None]

    def load(self) -> None:
        """Import the members of other packages, for a schema that describes them all."""
        for name in set(self) - set(self.at_hand()):
            self.place(name)
            self.version += 1

    def add(self, name: str, member: Any) -> None:
        """Register a member under a free name.

        Raises:
            InputError: If the name is taken or not usable, or the member is of another kind or
                lacks a method.
        """
        if not (isinstance(name, str) and name.isidentifier()):
            raise InputError(f"{name!r} cannot name {self.one}: use letters, digits and _")
        if name in self._whole:
            package = self._whole.package(name)
            by = f" by the package {package}" if package else ""
            raise InputError(f"the {self.noun} name {name!r} is taken{by}; choose another")
        self._check(name, member)
        self._places[name] = member
        self.version += 1

    def _check(self, name: str, member: Any) -> None:
        if not self._is_subclass(member):
            expected = (
                f"a subclass of {self._base.replace(':', '.')}" if self._base else "a callable"
            )
            raise InputError(
                f"{self.noun} {name!r}: found {_described(member)}; expected {expected}"
            )
        if self._special is not None and self._special._is_subclass(member):
            raise InputError(
                f"{self.noun} {name!r}: found {_described(member)}, {self._special.one}; "
                f"register it so: motet.register({self._special.kind!r}, {name!r}, ...)"
            )
        lacking = sorted(getattr(member, "__abstractmethods__", ()))
        if lacking:
            raise InputError(
                f"{self.noun} {name!r}: {_described(member)} does not define "
                f"{', '.join(lacking)}; define what {self._base.replace(':', '.')} requires"
            )

    def _is_subclass(self, member: Any) -> bool:
        if not self._base:
            return callable(member)
        return isinstance(member, type) and issubclass(member, resolve_name(self._base))


_NOUNS = {"sharing": "sharing scheme", "auxiliary": "auxiliary task", "label": "kind of label"}
"""What messages call a member whose kind is no noun for one."""


def _described(member: Any) -> str:
    if isinstance(member, type):
        return f"the class {member.__qualname__}"
    return getattr(member, "__qualname__", None) or f"an instance of {type(member).__name__}"
