"""How many heads attention can have, in encoders, fusions, sharing schemes and decoders alike."""

from motet.problems import InputError


def check_heads(heads: int, width: int, of: str = "width", *, owner: str | None = None) -> None:
    """Check that the heads of attention divide a width.

    Args:
        heads: The option ``heads``.
        width: The width.
        of: What the message calls the width.
        owner: Whose option it is; see `motet.problems.InputError`.

    Raises:
        InputError: If they do not; it names the nearest number that does.

    Example:
        >>> check_heads(4, 10)
        Traceback (most recent call last):
            ...
        motet.problems.InputError: heads: found 4, expected a number that divides width: 10; ...
    """
    if width % heads:
        fitting = (each for each in range(1, width + 1) if width % each == 0)
        nearest = min(fitting, key=lambda each: abs(each - heads))
        raise InputError(
            f"found {heads}, expected a number that divides {of}: {width}; nearest: {nearest}",
            option="heads",
            owner=owner,
        )
