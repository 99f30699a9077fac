"""Requests that are refused: a status, and what was found and expected, for each problem."""

from collections.abc import Sequence
from typing import Any

Problem = dict[str, Any]
"""``message``, and where it is known ``row``, ``input`` and ``column``."""

SHOWN = 20
"""Problems of a request that are listed."""


class Refused(Exception):
    """A request that gets no predictions.

    Args:
        status: The HTTP status.
        problems: The problems, or one message.
        retry_after: Seconds after which the client may try again.
    """

    def __init__(
        self, status: int, problems: str | Sequence[Problem], *, retry_after: int | None = None
    ) -> None:
        listed = [{"message": problems}] if isinstance(problems, str) else list(problems)
        super().__init__(listed[0]["message"])
        self.status, self.retry_after = status, retry_after
        self.problems = listed[:SHOWN]
        if len(listed) > SHOWN:  # perhaps not all were searched for
            self.problems.append({"message": "and more problems"})

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Busy(Refused):
    """A request of which the server has too many (503)."""

    def __init__(self, why: str) -> None:
        super().__init__(503, f"{why}; try again later", retry_after=1)
