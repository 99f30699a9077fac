"""How far a comparison is, and about how long it takes still."""

from collections.abc import Callable, Mapping

from motet.comparing.estimating import Cost
from motet.figures import duration
from motet.planning import Outcome
from motet.run.layout import line


class Progress:
    """Adds the time left to the lines of a plan.

    Args:
        say: Called with each line.
        costs: Estimated costs of a run of each method.
        whole: Estimated seconds of all runs, one after the other.
        processes: How many run at the same time.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        costs: Mapping[str, Cost],
        whole: float,
        processes: int,
    ) -> None:
        self._say, self._costs, self._processes = say, costs, processes
        self._left = whole
        self._expected: dict[str, float] = {}
        self._took, self._estimated = 0.0, 0.0

    def expect(self, run: str, method: str, epochs: int) -> None:
        """Note a run of a method before it is trained."""
        self._expected.setdefault(run, self._costs[method].seconds(epochs))

    def end(self, outcome: Outcome) -> None:
        """Note that a run ended now."""
        self._took += outcome.seconds
        self._estimated += self._expected[outcome.name]
        self.done(outcome.name)

    def done(self, run: str) -> None:
        """Note that a run is finished, now or before."""
        self._left -= self._expected[run]
        self._expected[run] = 0.0

    def say(self, text: str) -> None:
        """Say a line of the plan."""
        pace = self._took / self._estimated if self._estimated else 1.0
        left = max(self._left, 0.0) * pace / self._processes
        self._say(line("runs", f"{text}; about {duration(left)} left"))
