"""The text whose words a task labels, or whose tokens it reads."""

from collections.abc import Mapping

from motet.data.inputs.shapes import TextSizes
from motet.problems import InputError, hint


def text_of(task: str, asked: str | None, texts: Mapping[str, TextSizes]) -> str:
    """Find the text whose words a task labels.

    Args:
        task: Name of the task.
        asked: The text it names, if any.
        texts: All texts, at least one.

    Returns:
        Name of the text.

    Raises:
        InputError: If no text has words, or several have and none is named.

    Example:
        >>> text_of("slots", None, {"words": TextSizes(9, words=True), "title": TextSizes(9)})
        'words'
    """
    _check_known(task, asked, texts)
    having = [name for name in texts if texts[name].words]
    chosen = having if asked is None else [name for name in having if name == asked]
    if not chosen:
        raise InputError(
            f"it labels words, but input {asked or next(iter(texts))!r} has whole texts; give "
            "lists of words, one label each, or split: spaces if white space separates the "
            "labelled words",
            owner=f"task {task!r}",
        )
    if len(chosen) > 1:
        raise InputError(
            f"it labels words, and several inputs have words: {', '.join(chosen)}; choose one, for "
            f"example input: {chosen[0]}",
            owner=f"task {task!r}",
        )
    return chosen[0]


def read_text(task: str, asked: str | None, texts: Mapping[str, TextSizes]) -> str | None:
    """Find the text whose tokens a task reads, if there is one.

    Args:
        task: Name of the task.
        asked: The text it names, if any.
        texts: All texts.

    Returns:
        Name of the text; None if there is none.

    Raises:
        InputError: If there are several and none is named.

    Example:
        >>> read_text("summary", None, {"title": TextSizes(9)})
        'title'
    """
    _check_known(task, asked, texts)
    if asked is not None or len(texts) < 2:
        return asked or next(iter(texts), None)
    raise InputError(
        f"it reads the tokens of one text, and there are several: {', '.join(texts)}; choose one, "
        f"for example input: {next(iter(texts))}",
        owner=f"task {task!r}",
    )


def _check_known(task: str, asked: str | None, texts: Mapping[str, TextSizes]) -> None:
    if asked is not None and asked not in texts:
        which = hint(asked, texts) if texts else "there is none; remove input"
        raise InputError(
            f"found {asked!r}, which is not a text; {which}",
            option="input",
            owner=f"task {task!r}",
        )
