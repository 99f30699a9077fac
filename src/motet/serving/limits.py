"""How much a server takes at once, and how long it waits."""

from dataclasses import dataclass, fields

from motet.problems import InputError

_LARGEST = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of a server; what goes beyond them is refused, with the status in brackets.

    Raises:
        InputError: If one is not positive or too large, or the queue cannot take a request of all
            its rows.
    """

    rows: int = 10_000
    """Rows of a request (413)."""
    megabytes: float = 8.0
    """Size of the body of a request (413); parsed JSON takes up to 25 times that of memory."""
    queue_rows: int = 40_000
    """Rows that wait for the model (503 with Retry-After)."""
    batch_rows: int = 1024
    """Rows up to which waiting requests are joined; 1 computes every request alone."""
    wait_ms: float = 0.0
    """Longest time that a request waits for others to be joined with while the model is idle."""
    body_seconds: float = 30.0
    """Time in which the body of a request must have arrived (408)."""
    answer_seconds: float = 60.0
    """Time in which a client must take some of its answer; else it is disconnected, on Linux."""
    shutdown_seconds: float = 30.0
    """Time for requests under way once the server is to stop."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            may_be_0 = each.name == "wait_ms"
            if not ((value > 0 or (may_be_0 and value == 0)) and value <= _LARGEST):
                least = ">= 0" if may_be_0 else "> 0"
                raise InputError(
                    f"found {value}; expected a number {least}, at most {_LARGEST:,}",
                    option=each.name,
                )
        if self.queue_rows < self.rows:
            raise InputError(
                f"found {self.queue_rows:,}, but a request may have {self.rows:,} rows; expected "
                "at least as many",
                option="queue_rows",
            )

    @property
    def bytes(self) -> int:
        """Size of the body of a request."""
        return int(self.megabytes * 1e6)

    @property
    def bytes_together(self) -> int:
        """Size of all bodies that are read at the same time (503 with Retry-After)."""
        return 4 * self.bytes

    @property
    def bytes_thrown_away(self) -> int:
        """Size up to which the rest of a refused body is read, so that the client sees why."""
        return 8 * self.bytes

    @property
    def queue_bytes(self) -> int:
        """Size of all rows that wait; those of a request take up to 4 times its body."""
        return 16 * self.bytes
