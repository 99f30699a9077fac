"""Which text has the words that a task labels."""

from collections.abc import Mapping

from motet.data.inputs.shapes import TextSizes
from motet.problems import InputError, hint


def text_of(task: str, asked: str | None, texts: Mapping[str, TextSizes]) -> str:
    """Find the text whose words a task labels.

    Args:
        task: Name of the task.
        asked: The text it names, if any.
        texts: The texts there are, at least one.

    Returns:
        Name of the text.

    Raises:
        InputError: If there is none with words, or several and none is named.

    Example:
        >>> text_of("slots", None, {"words": TextSizes(9, words=True), "title": TextSizes(9)})
        'words'
    """
    if asked is not None and asked not in texts:
        raise InputError(f"input is {asked!r}, which is no text; {hint(asked, texts)}")
    having = [name for name in texts if texts[name].words]
    chosen = having if asked is None else [name for name in having if name == asked]
    if not chosen:
        raise InputError(
            f"task {task!r} labels words, but input {asked or next(iter(texts))!r} is not made of "
            "words; give lists of words, one label each, or split: spaces if white space parts "
            "the words that are labelled"
        )
    if len(chosen) > 1:
        raise InputError(
            f"task {task!r} labels words, and several inputs are made of words: "
            f"{', '.join(chosen)}; say which, for example input: {chosen[0]}"
        )
    return chosen[0]
