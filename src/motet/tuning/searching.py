"""The search: trials in rounds, of which the best third is promoted to three times the epochs.

A round is as many trials as leave one for the largest budget (9 where the epochs allow three
budgets), whatever the number of processes, and values of a round are chosen from the scores of
those before it. So a search depends on its seed alone, and one that was interrupted continues by
going through the same steps again: runs that are finished are read.

Successive halving is that of `motet.planning.halving`; the values of a trial are chosen by Optuna's
tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from motet import config as configs
from motet.config.places import with_absolute
from motet.config.tuning import TuningConfig
from motet.data.sources import read
from motet.extras import imported
from motet.figures import counted
from motet.options import known_options
from motet.planning import Outcome, PlannedRun, keep_rows, plan
from motet.planning.halving import KEPT, fewest_epochs, kept, lengths
from motet.problems import InputError
from motet.run import folder, prepare
from motet.run.layout import line
from motet.run.lock import holding
from motet.run.prepared import AnyPrepared
from motet.run.training import config_text, silent
from motet.training import History
from motet.tuning import ranges
from motet.tuning.trials import Trial, Tuned, ranked, write_ranking

SEARCH, DATA, RANKING, BEST = "search.yaml", "data.parquet", "ranking.csv", "best.yaml"
Say = Callable[[str], object]


@known_options
def tune(
    config: ranges.Source,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    trials: int | None = None,
    minutes: float | None = None,
    processes: int | None = None,
    threads: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    output: str | Path | None = None,
    say: Say | None = None,
) -> Tuned:
    """Search the ranges of ``tuning`` in a config; test rows are never read.

    With the folder of an earlier search of the same ranges, it continues.

    Args:
        config: A YAML file, a mapping, or a `motet.Config`, with a section ``tuning``.
        data: Rows in place of ``data.source``: a frame, an Arrow table, a mapping of arrays.
        overrides: Changes such as ``"tuning.trials=50"``.
        trials: How many combinations of values; ``tuning.trials`` if left out.
        minutes: After so many minutes no further runs begin.
        processes: How many runs at the same time.
        threads: Threads of each run.
        engine: See `motet.planning.Plan.carry_out`.
        address: See `motet.planning.Plan.carry_out`.
        output: The folder of the search; ``runs/NAME-tune-NNN`` if left out.
        say: Called with lines of progress, for example ``print``.

    Returns:
        The trials, ranked. The folder has ``best.yaml``, the config with the best values.

    Raises:
        InputError: If the config has no ranges or does not take them, the config splits rows into
            folds, the folder holds something else, or no trial finished.
    """
    optuna = _optuna()
    read_config, origin = configs.read(config, overrides)
    if read_config.tuning is None:
        raise InputError(
            "found no ranges; expected a section such as tuning: {ranges: "
            "{training.optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}}"
        )
    for option, value in {"trials": trials, "minutes": minutes}.items():
        if value is not None and value <= 0:
            raise InputError(f"found {value}, expected a number above 0", option=option)
    if read_config.data.split.folds is not None:
        raise InputError("a search chooses by validation rows; remove data.split.folds")
    tuning = read_config.tuning
    if trials is not None:
        tuning = tuning.model_copy(update={"trials": trials})
    ranges.check(config, overrides, tuning.ranges)
    prepared = prepare(config, data=data, overrides=overrides)
    budgets = _budgets(prepared, tuning)
    whole = with_absolute(read_config.model_copy(update={"tuning": tuning}), origin.folder)
    text = config_text(whole, origin.folder, given=True)
    name = Path(config).stem if isinstance(config, (str, Path)) else "run"
    with _held(output, f"{name}-tune", text) as path:
        own = ["tuning=null", "data.evaluate_test=false"]
        if data is not None:
            keep_rows(path / DATA, read(data))
            own.append(ranges.override("data.source", str((path / DATA).resolve())))
        search = _Search(
            own,
            tuning,
            budgets,
            path,
            {"processes": processes, "threads": threads, "engine": engine, "address": address},
            say or silent,
            None if minutes is None else monotonic() + 60 * minutes,
        )
        tuned = Tuned(path, ranked(search.carried_out(optuna)))
        if not tuned.trials or tuned.best.status == "failed":
            why = f": {tuned.best.error}" if tuned.trials else "; give it more minutes"
            raise InputError(f"no trial finished{why}")
        write_ranking(path / RANKING, tuned)
        best, _ = configs.read(path / SEARCH, [*tuned.best.overrides, "tuning=null"])
        folder.write_text(path / BEST, config_text(best, origin.folder, given=True))
        return tuned


@dataclass
class _Search:
    """A search in progress."""

    own: list[str]
    """Overrides of every run beside its values."""
    tuning: TuningConfig
    budgets: Sequence[int | None]
    """Epochs of each rung, growing; None where the ranges choose them."""
    path: Path
    how: dict[str, Any]
    """How plans are executed."""
    say: Say
    deadline: float | None
    trials: list[Trial] = field(default_factory=list)
    seconds: float = 0.0
    """What the epochs so far took."""
    epochs: int = 0
    """Epochs that were trained for."""

    @property
    def size(self) -> int:
        """Trials of a round: one is left for the largest budget."""
        return int(KEPT ** (len(self.budgets) - 1))

    def carried_out(self, optuna: Any) -> list[Trial]:
        """Go through all rounds, or those that there is time for; return the trials that ran."""
        sampler = optuna.samplers.TPESampler(seed=self.tuning.seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        self.say(line("tune", f"{self.tuning.trials} trials, {self._rounds()}"))
        while len(self.trials) < self.tuning.trials and not self._late():
            count = min(self.size, self.tuning.trials - len(self.trials))
            drawn = [study.ask() for _ in range(count)]
            new = [
                Trial(number, ranges.draw(each, self.tuning.ranges), self.path)
                for number, each in enumerate(drawn, len(self.trials) + 1)
            ]
            self.trials += new
            self._round(new)
            for trial, each in zip(new, drawn, strict=True):
                _tell(optuna, study, each, trial)
        return [trial for trial in self.trials if trial.rung >= 0 or trial.error]

    def _round(self, trials: list[Trial]) -> None:
        """Give trials the smallest budget, and those that are promoted the next ones."""
        for rung, epochs in enumerate(self.budgets):
            if trials and not self._late():
                self._run(trials, rung, epochs)
            known = [trial for trial in trials if trial.status != "failed"]
            last = rung + 1 == len(self.budgets)
            best = sorted(known, key=lambda each: (-each.rung, -each.score))
            trials = best if last else best[: kept(len(known))]
        for trial in trials:
            if trial.rung + 1 == len(self.budgets):
                trial.status = "finished"

    def _run(self, trials: list[Trial], rung: int, epochs: int | None) -> None:
        fixed = self.own if epochs is None else [*self.own, f"training.epochs={epochs}"]
        runs = [
            PlannedRun(self.path / SEARCH, f"trial-{each.number:03d}", [*each.overrides, *fixed])
            for each in trials
        ]
        first = (trials[0].number - 1) // self.size + 1
        planned = plan(runs, output=self.path / "plans" / f"round-{first:02d}-rung-{rung + 1}")
        for trial, outcome in zip(trials, planned.carry_out(**self.how), strict=True):
            trial.run, trial.epochs = outcome.path, epochs
            _score(trial, outcome, rung)
            self.seconds += outcome.seconds
            self.epochs += (epochs or 0) if outcome.seconds else 0  # 0 if it was read
        self.say(line("trials", self._progress(trials, epochs)))

    def _progress(self, trials: list[Trial], epochs: int | None) -> str:
        numbers = ", ".join(str(each.number) for each in sorted(trials, key=lambda x: x.number))
        budget = "" if epochs is None else f" with {counted(epochs, 'epoch')}"
        known = [each.score for each in trials if each.status != "failed"]
        best = f": best score {max(known):.4f}" if known else ": all failed"
        left = self.tuning.trials - len(self.trials)
        minutes = 0.0
        if self.epochs:
            each = sum((more or 0) / KEPT**rung for rung, more in enumerate(self.budgets))
            minutes = left * each * self.seconds / self.epochs / (self.how["processes"] or 1) / 60
        return f"{numbers}{budget}{best}" + (f"; {minutes:.0f} minutes left" if minutes > 1 else "")

    def _rounds(self) -> str:
        if self.budgets == [None]:
            return "each with the epochs that its values say"
        parts = [
            f"{self.size // KEPT**rung} with {counted(epochs, 'epoch')}"
            for rung, epochs in enumerate(filter(None, self.budgets))
        ]
        return f"in rounds of {', '.join(parts)}"

    def _late(self) -> bool:
        return self.deadline is not None and monotonic() > self.deadline


def _tell(optuna: Any, study: Any, drawn: Any, trial: Trial) -> None:
    """Let Optuna learn from a trial."""
    state = optuna.trial.TrialState
    if trial.rung < 0 or trial.status == "failed":
        study.tell(drawn, state=state.FAIL)
    elif trial.status == "pruned":
        drawn.report(trial.score, step=trial.rung)
        study.tell(drawn, state=state.PRUNED)
    else:
        study.tell(drawn, trial.score)


def _score(trial: Trial, outcome: Outcome, rung: int) -> None:
    if outcome.status != "finished":
        trial.status, trial.error = "failed", outcome.error
        return
    best = History.read(outcome.path / folder.METRICS).best
    assert best is not None  # a search has validation rows
    trial.score, trial.rung = float(best["monitored"]), rung


def _budgets(prepared: AnyPrepared, tuning: TuningConfig) -> Sequence[int | None]:
    """Return the epochs of each rung."""
    if "training.epochs" in tuning.ranges:
        return [None]
    return lengths(prepared.config.training.epoch_count, fewest_epochs(prepared))


@contextmanager
def _held(output: str | Path | None, name: str, text: str) -> Iterator[Path]:
    """Make the folder of a search, or check that it is that of the same one, and hold it."""
    file = None if output is None else Path(output) / SEARCH
    if file is None or not file.is_file():
        with folder.created(output, name) as path:
            folder.write_text(path / SEARCH, text)
            yield path
        return
    if file.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{file.parent} holds a search with another config; name another folder, or give the "
            "same config to continue"
        )
    with holding(file.parent):
        yield file.parent


def _optuna() -> Any:
    optuna = imported("optuna", "motet tune needs")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
