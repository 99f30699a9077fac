"""`motet.compare`: settle what is trained, train it, choose on validation rows, then read the test.

::

    runs/<config name>-compare-NNN/
      comparison.json       what was asked, and what was settled before the first run
      config.yaml           the config, every default spelled out
      configs/  runs/       the runs, as those of any plan
      choices.json          what was chosen on validation rows, before test rows were read
      suggested.yaml        the config of the model that is suggested
      results.parquet  results.json
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from motet.comparing.concluding import conclude
from motet.comparing.following import completed
from motet.comparing.margins import Levels, check_levels
from motet.comparing.methods import Member
from motet.comparing.progress import Progress
from motet.comparing.question import FILE, Question, methods_of, read_settled
from motet.comparing.results import Comparison
from motet.comparing.runs import Runs
from motet.comparing.settling import begin, whole_seconds
from motet.config import Config
from motet.config.collecting import read_on
from motet.config.places import with_absolute
from motet.options import known_options
from motet.problems import InputError
from motet.run.launching import started_together, threads_of_each
from motet.run.layout import line
from motet.run.training import config_text

Say = Callable[[str], object]


@known_options
def compare(
    config: str | Path | Mapping[str, Any] | Config,
    data: Any = None,
    overrides: Sequence[str] = (),
    output: str | Path | None = None,
    *,
    balancers: Sequence[Member] = (),
    sharing: Sequence[Member] = (),
    seeds: int | None = None,
    single_task: bool = True,
    candidates: int = 27,
    learning_rates: Sequence[float] | None = None,
    minutes: float | None = None,
    distil: bool = False,
    suggest: bool = False,
    margin: float = 0.01,
    error: float = 0.05,
    processes: int | None = None,
    threads: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    say: Say | None = None,
) -> Comparison:
    """Compare a config's model with single-task models, and other methods, on the same rows.

    Single-task models have the encoder and the head of their task, once with as many steps as the
    config's model, and once with a share of them, so that all together cost what the config's model
    costs. All methods have the same rows and splits; repetitions differ in ``training.seed``, or
    with ``data.split.folds`` in the fold. Weights, learning rates and epochs are chosen on
    validation rows, and the metrics of test rows are read once, when nothing is left to choose.

    Called again with the folder of a comparison that did not end, it continues.

    Args:
        config: A YAML file, a mapping, or a `motet.Config`.
        data: Rows in place of ``data.source``: a frame, an Arrow table, a mapping of arrays.
        overrides: Changes such as ``"training.epochs=3"``.
        output: The comparison's folder; ``runs/<config name>-compare-NNN`` if left out.
        balancers: Balancers to put into the config's model, one after the other: names, or mappings
            with ``type`` and options.
        sharing: Sharing schemes, likewise.
        seeds: Number of seeds, 5 if left out; folds take their place where the config has them.
        single_task: Whether to train single-task models. Without, the config's model is the
            baseline.
        candidates: Number of candidates of the weighted sum of losses, by weights and learning
            rate, among which successive halving chooses; 0 leaves this method out.
        learning_rates: Learning rates among which every method, and every single-task model, has
            its own chosen. Left out: that of the config, and of the weighted sum also three times
            as much and a third.
        minutes: How long it may take by the estimate; then candidates are given up, and after them
            seeds.
        distil: Whether the config's model is also trained with the single-task models as teachers.
        suggest: Whether to choose models to deploy, on validation rows, and to test on test rows
            that they are not worse than the single-task models; see `motet.comparing.suggesting`.
            Distillation, and groups of tasks by affinity, are among the methods then.
        margin: By how much a task may be worse: in the unit of its metric where 1 is perfect, else
            as a share of the single-task model's value.
        error: Error rate of the verdicts, and of the tests of the suggestion.
        processes: As for `motet.planning.Plan.carry_out`, as are the following.
        threads: Threads of each run.
        engine: ``local`` or ``ray``.
        address: Address of the cluster of Ray.
        say: Called with each line of progress, for example ``print``.

    Returns:
        The comparison.

    Raises:
        ConfigError: If the config or its data cannot be used.
        InputError: If an option does not fit, there is one task alone, no test or validation rows,
            the budget is too small, or the folder holds another comparison.
        TrainingError: If the baseline cannot be trained.
        KeyboardInterrupt: After Ctrl-C, once the runs in progress have saved their state.
    """
    say = say or (lambda _: None)
    if started_together():
        raise InputError("a comparison starts processes of its own; start it without torchrun")
    collector, found = read_on(config, overrides)
    place = collector.origin.folder
    text = config_text(with_absolute(found, place), place, given=True)
    question = Question(
        text,
        balancers,
        sharing,
        seeds,
        single_task,
        candidates,
        learning_rates,
        minutes,
        distil or suggest,
        suggest,
    )
    check_levels(margin, error)
    question.check()
    count = processes or 1
    own = threads or (threads_of_each(count) if engine == "local" else 1)
    if output is not None and (Path(output) / FILE).is_file():
        collector.stop()
        path = Path(output)
        base, settled = read_settled(path, question)
        say(line("compare", f"continues {path}"))
    else:
        path, base, settled = begin(
            question, config, data, overrides, output, threads=own, processes=count, say=say
        )
    methods = methods_of(question, base.config, settled)
    whole = whole_seconds(methods, base, settled)
    runs = Runs(
        path,
        base,
        settled.units(base.config),
        data,
        Progress(say, settled.costs, whole, count),
        processes=processes,
        threads=threads,
        engine=engine,
        address=address,
    )
    first = [method for method in methods if method.source is None]
    try:
        runs.train(first)
        last = [method for method in methods if method.source is not None]
        following, notes = completed(last, base.config, runs)
        for note in notes:
            say(line("note", note))
        runs.train(following)
    except KeyboardInterrupt:
        say(line("stopped", f"continue with the same command and --output {path}"))
        raise
    tested = Levels(margin, error) if suggest else None
    settled = replace(settled, notes=[*settled.notes, *notes])
    return conclude(path, [*first, *following], settled, runs, error, tested)
