"""Pydantic's errors in the user's words, for configs and for arguments in Python alike."""

import re
from collections.abc import Mapping
from typing import Any

from motet.problems import nearest, shown, with_article

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "sequence_str": "a list of texts",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number >= {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number <= {le:g}",
    "literal_error": "{expected}",
    "is_instance_of": "{class}",
    "callable_type": "a function",
    "none_required": "null",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "a text that is not empty",
}


def explain(error: Mapping[str, Any]) -> str:
    """Translate one of pydantic's error details into "found ..., expected ..."."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "missing" and isinstance(error["input"], (list, tuple)):
        return f"found {shown(error['input'])}, expected more values"
    if kind == "missing":
        return "missing, but required"
    if kind == "extra_forbidden":
        return "unknown; remove it"
    if kind == "value_error":
        return str(context["error"])
    expected = _EXPECTED.get(kind)
    if expected is None or kind.startswith("too_"):
        expected = (expected or str(error["msg"])).format(**context)
        expected = expected.replace(" 1 entries", " one entry")
        return f"found {shown(error['input'])}, expected {expected}"
    expected = expected.format(**context)
    if kind == "is_instance_of":
        expected = "a list" if expected == "Sequence" else with_article(expected)
    answer = f"found {shown(error['input'])}, expected {expected}"
    better = _better(kind, error["input"], expected)
    return f"{answer}; {better}" if better else answer


def _better(kind: str, value: object, expected: str) -> str | None:
    """Suggest what to write in place of a value that is nearly right."""
    if kind == "literal_error" and isinstance(value, str):
        names = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
        near = nearest(value, names)
        return f"did you mean {near!r}?" if near else None
    if kind in ("dict_type", "mapping_type") and isinstance(value, (list, tuple)) and value:
        by_name = ", ".join(f"NAME: {each}" for each in value[:2])
        return f"write {{{by_name}{', ...' * (len(value) > 2)}}}, each with its name"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return _number(value, whole=kind == "int_type")
    if kind.startswith("less_than") and expected.endswith(" 1") and isinstance(value, (int, float)):
        return f"write {value / 100:g} for {value:g} %" if 1 < value < 100 else None
    if kind.startswith("bool_") and str(value).lower() in ("yes", "y", "on", "1", "true"):
        return "write true"
    if kind.startswith("bool_") and str(value).lower() in ("no", "n", "off", "0", "false"):
        return "write false"
    return None


_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+")
_DECIMAL = re.compile(r"[-+]?\d+,\d+")


def _number(text: str, *, whole: bool) -> str | None:
    """Suggest how to write a number given as a text: in quotes, with commas, in percent."""
    plain_text = text.strip()
    share = plain_text.endswith("%")
    plain_text = plain_text.removesuffix("%").strip()
    if _THOUSANDS.fullmatch(plain_text):
        plain_text = plain_text.replace(",", "")
    elif _DECIMAL.fullmatch(plain_text):
        plain_text = plain_text.replace(",", ".")
    try:
        number = float(plain_text)
    except ValueError:
        return None
    if whole:
        return f"write {int(number)}, without quotes" if number.is_integer() and not share else None
    return f"write {number / 100:g}" if share else f"write {number:g}, without quotes"
