"""What the encoder of a text reads: its tokens, and what it asks for beside them.

An encoder declares the latter in ``asks``: "grams" are the n-grams of a text, which its options
``buckets``, ``words`` and ``characters`` describe; "characters" are the letters of each token's
word, if its option ``characters`` is given. An encoder that consists of others, which its options
choose, reads what these read. Each is a leaf of the text's tree, which has no tokens if the encoder
reads none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from motet.data.grams import Grams
from motet.options import asked_by, name_and_options, read_options, reads_tokens
from motet.problems import InputError
from motet.registry import ENCODERS

GRAMS, CHARACTERS = "grams", "characters"
_DEFAULT, _LONGEST = "lstm", 20


@dataclass(frozen=True)
class TextParts:
    """What a text consists of, as its encoder reads it."""

    grams: Grams | None = None
    letters: int | None = None
    """Number of letters that are read of a word."""
    tokens: bool = True
    """Whether it has tokens; if not, it has n-grams."""

    @staticmethod
    def of(encoder: str | Mapping[str, Any], *, lowercase: bool) -> "TextParts":
        """Find what an encoder reads.

        Args:
            encoder: Its name, or ``{"type": name, option: value}``.
            lowercase: Whether texts are converted to lower case.

        Returns:
            The parts.

        Raises:
            InputError: If no encoder has the name, or two encoders read different n-grams.
        """
        asked: set[Grams] = set()
        letters: int | None = None
        for part, options in _asked(encoder):
            if part == GRAMS:
                asked.add(_grams(options, lowercase=lowercase))
            elif part != CHARACTERS:
                raise InputError(
                    f"it asks for {part!r}; expected {GRAMS!r} or {CHARACTERS!r}", option="encoder"
                )
            elif options[CHARACTERS] is not None:
                letters = max(letters or 0, options[CHARACTERS].get("longest", _LONGEST))
        if len(asked) > 1:
            raise InputError(
                "its parts read different n-grams; give them the same buckets, words and "
                "characters",
                option="encoder",
            )
        tokens = not asked or reads_tokens(name_and_options(encoder, _DEFAULT)[0])
        return TextParts(next(iter(asked), None), letters, tokens)

    def state(self) -> dict[str, Any]:
        """Return them as JSON can hold them."""
        found: dict[str, Any] = {} if self.tokens else {"tokens": False}
        if self.grams is not None:
            found[GRAMS] = asdict(self.grams)
        return found if self.letters is None else {**found, "letters": self.letters}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> "TextParts":
        """Return the parts whose state it is."""
        letters, tokens = state.get("letters"), state.get("tokens", True)
        if GRAMS not in state:
            return TextParts(None, letters, tokens)
        given = dict(state[GRAMS])
        if given["characters"] is not None:
            given["characters"] = tuple(given["characters"])
        return TextParts(Grams(**given), letters, tokens)


def _grams(options: Mapping[str, Any], *, lowercase: bool) -> Grams:
    for name in ("buckets", "words", "characters"):
        if name not in options:
            raise InputError(
                f"it asks for {GRAMS!r}, but has no option {name}; give it the options buckets, "
                "words and characters",
                option="encoder",
            )
    pieces = options["characters"]
    return Grams(
        options["buckets"],
        options["words"],
        None if pieces is None else (int(pieces[0]), int(pieces[1])),
        lowercase,
    )


def _asked(
    encoder: str | Mapping[str, Any], default: str | None = _DEFAULT
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what an encoder, or one that it consists of, asks for, with its options."""
    name, given = name_and_options(encoder, default)
    known = read_options(ENCODERS, name)
    options = {option.name: option.default for option in known} | given
    for part in asked_by(name):
        yield part, options
    for option in known:
        chosen = option.chosen
        if chosen is not None and chosen.kind == ENCODERS.kind:
            inner = options[option.name] or chosen.default
            if inner is not None:
                yield from _asked(inner, chosen.default)
