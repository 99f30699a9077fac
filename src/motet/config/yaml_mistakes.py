"""Mistakes in a text that is not YAML, and their places: often above the one PyYAML names."""

import re

import yaml

from motet.config.yaml_positions import Position

_KEY = r"[A-Za-z_][\w.-]*"
_NO_SPACE = re.compile(rf"(\s*(?:- )?)({_KEY}):([^\s/:].*)")
_EQUALS = re.compile(rf"(\s*)({_KEY})\s*=\s*(\S.*)")
_TWO_KEYS = re.compile(rf"\s*({_KEY}):\s+({_KEY}:\s.*)")
_FULL = re.compile(rf"\s*({_KEY}):\s+([^\s#{{\[].*)")


def yaml_mistake(text: str, error: yaml.MarkedYAMLError) -> tuple[str, Position | None]:
    """Explain why a text is not YAML.

    Args:
        text: The text.
        error: What PyYAML raised.

    Returns:
        What was found and what to write, and where.
    """
    mark, before = error.problem_mark, error.context_mark
    problem = str(error.problem)
    at = Position(mark.line + 1, mark.column + 1) if mark else None
    lines = text.splitlines()
    if at is None or not lines:
        return problem, at
    if "'\\t'" in problem:
        return "found a tab, expected spaces", at
    if "\u00a0" in text:
        return _of_odd_space(lines, at)
    if "another document" in problem:
        return "found a second document after ---, expected one", at
    unclosed = before is not None and "flow" in str(error.context) and "expected ','" in problem
    if unclosed and before is not None:
        opened = Position(before.line + 1, before.column + 1)
        return f"found an open bracket, expected a comma or its end by line {at.line}", opened
    if "expected ':'" in problem and before is not None:
        at = Position(before.line + 1, before.column + 1)
    found = _of_lines(lines, at, problem)
    return found or (f"{problem}; check indentation (by spaces), quotes, brackets", at)


def _of_odd_space(lines: list[str], at: Position) -> tuple[str, Position]:
    number, line = next((n, line) for n, line in enumerate(lines, 1) if "\u00a0" in line)
    return "found a non-breaking space, expected plain spaces", Position(
        number, line.index("\u00a0") + 1
    )


def _of_lines(lines: list[str], at: Position, problem: str) -> tuple[str, Position] | None:
    """Look for the mistake in the line that is named and in the last one before it."""
    above = [number for number in range(1, at.line) if lines[number - 1].strip()][-1:]
    numbers = [number for number in (*above, at.line) if number <= len(lines)]
    for number in numbers:
        line = lines[number - 1]
        if match := _NO_SPACE.fullmatch(line):
            message = f"no space after a colon; write {match[2]}: {match[3]}"
            return message, Position(number, len(match[1]) + 1)
        if match := _EQUALS.fullmatch(line):
            message = f"found {line.strip()}; write {match[2]}: {match[3]}"
            return message, Position(number, len(match[1]) + 1)
    line = lines[numbers[-1] - 1]
    if "mapping values are not allowed" in problem:
        if match := _TWO_KEYS.fullmatch(line):
            return f"two keys in one line; write {match[1]}: {{{match[2]}}}", at
        outer = lines[above[0] - 1] if above else ""
        if (match := _FULL.fullmatch(outer)) and _indent(outer) < _indent(line):
            key, value = match[1], match[2].strip()
            message = (
                f"{key} has the value {value}, and a key below it; write {key}: alone, and below "
                f"it, indented alike, type: {value} and the other keys"
            )
            return message, Position(numbers[-1], _indent(line) + 1)
    if "expected ':'" in problem:
        return f"found {line.strip()!r}, expected key: value", at
    if "expected <block end>" in problem and "block mapping start" in problem:
        return "this line is indented by other spaces, expected as many as the lines above it", at
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
