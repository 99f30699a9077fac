"""`motet.plan`: a list of runs, checked as a whole, in one folder.

::

    plans/plan-NNN/
      configs/NAME.yaml     the resolved config of each run
      runs/NAME/            its run folder
      data.parquet          rows that were given from Python
"""

import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from motet import config as configs
from motet.config import Config, ConfigError
from motet.config.only_tasks import only_tasks
from motet.config.places import with_absolute
from motet.data.sources import read
from motet.planning import local, on_ray
from motet.planning.planned import Outcome, PlannedRun, Work
from motet.problems import InputError
from motet.run import folder
from motet.run.launching import started_together, threads_of_each
from motet.run.lock import holding
from motet.run.progress import progress_of
from motet.run.training import config_text
from motet.writing import replacing

Runs = Iterable[PlannedRun | str | Path | Mapping[str, Any] | Config]
DATA = "data.parquet"


def plan(
    runs: Runs, data: Any = None, *, output: str | Path | None = None, partial: bool = False
) -> "Plan":
    """Plan independent runs; nothing is trained yet.

    All configs are checked first, their data when the run begins. With the folder of an earlier
    plan of the same runs, it continues.

    Args:
        runs: `motet.planning.PlannedRun` of each, or its config alone.
        data: Rows of all runs in place of ``data.source``: a frame, an Arrow table, a mapping of
            arrays.
        output: The plan's folder; ``plans/plan-NNN`` if left out.
        partial: Whether the folder may hold further runs, which are left alone.

    Returns:
        The plan.

    Raises:
        InputError: If there is no run, two have one name, a config cannot be used, or the folder
            holds something else.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing does
        raise InputError(f"this process executes runs of a plan; {local.GUARD}")
    if isinstance(runs, (PlannedRun, str, Path, Mapping, Config)):
        raise InputError("found one run, expected a list of runs: motet.plan([...])")
    planned = _named([each if isinstance(each, PlannedRun) else PlannedRun(each) for each in runs])
    if not planned:
        raise InputError("a plan without runs: give one or more configs")
    found = {name: _resolved(name, run, data is not None) for name, run in planned.items()}
    path, is_new = _folder(output)
    texts = {name: _text(*each, path) for name, each in found.items()}
    if not is_new:
        _check_same(path, texts, partial=partial)
    if data is not None:
        keep_rows(path / DATA, read(data))
    for name, text in texts.items():
        folder.write_text(_config(path, name), text)
    return Plan(path, tuple(found))


class Plan:
    """Independent runs in one folder; made by `motet.plan`.

    Args:
        path: The folder.
        names: Names of the runs.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path, self.names = path, names

    def carry_out(
        self,
        *,
        processes: int | None = None,
        threads: int | None = None,
        engine: Literal["local", "ray"] = "local",
        address: str | None = None,
        say: Callable[[str], object] | None = None,
        ended: Callable[[Outcome], object] | None = None,
    ) -> list[Outcome]:
        """Execute the runs that are not finished.

        A run that fails does not stop the others. One whose process dies resumes, in another one,
        twice at most. After Ctrl-C, or if this process ends, call it again to continue.

        Args:
            processes: How many runs at the same time; locally 1 if left out, on Ray as many as the
                cluster has room for.
            threads: Threads of each run; if left out, OMP_NUM_THREADS, or else the processors
                divided by ``processes``, on Ray 1. Results are equal bit for bit only with the same
                number.
            engine: ``local`` processes, or tasks on a cluster of ``ray``, whose machines must share
                the file system of the plan.
            address: Address of the cluster of Ray, such as ``"auto"``; a local one if left out.
            say: Called with a line when a run ends, for example ``print``.
            ended: Called before that line with what became of the run; not of those that were
                finished before.

        Returns:
            What became of each run, in the order of the plan.

        Raises:
            InputError: If an option does not fit, Ray is not there, torchrun started this process,
                or another one is executing the plan.
            KeyboardInterrupt: After Ctrl-C, once the runs in progress have saved their state.
        """
        say = say or (lambda _: None)
        path = self.path.absolute()  # workers may have another working directory
        works = [Work(name, _config(path, name), path / "runs" / name) for name in self.names]
        found = {
            work.name: Outcome(work.name, work.path, "finished")
            for work in works
            if progress_of(work.path) == "finished"
        }
        left = [work for work in works if work.name not in found]
        if started_together():
            raise InputError("a plan starts processes of its own; start it without torchrun")
        for option, value in {"processes": processes, "threads": threads}.items():
            if value is not None and value < 1:
                raise InputError(f"found {value}, expected a number >= 1", option=option)
        if engine == "local":
            if address is not None:
                raise InputError("address is that of a Ray cluster; give engine='ray' too")
            count = processes or 1
            own = threads or threads_of_each(count)
            outcomes = local.carried_out(left, processes=count, threads=own, say=say)
        elif engine == "ray":
            outcomes = on_ray.carried_out(
                left, address=address, processes=processes, threads=threads or 1, say=say
            )
        else:
            raise InputError(f"found {engine!r}, expected 'local' or 'ray'", option="engine")
        if found:
            say(f"{len(found)} of {len(works)} were finished before")
        with holding(self.path), closing(outcomes):
            for outcome in outcomes if left else ():
                found[outcome.name] = outcome
                if ended is not None:
                    ended(outcome)
                say(_line(outcome, len(found), len(works)))
        if len(found) < len(works) or any(each.status == "stopped" for each in found.values()):
            raise KeyboardInterrupt
        return [found[name] for name in self.names]


def _line(outcome: Outcome, done: int, all_runs: int) -> str:
    why = f": {outcome.error}" if outcome.error else ""
    return f"{done} of {all_runs}  {outcome.name}  {outcome.status}, {outcome.seconds:.0f} s{why}"


def _named(runs: list[PlannedRun]) -> dict[str, PlannedRun]:
    found: dict[str, PlannedRun] = {}
    for number, run in enumerate(runs, 1):
        stem = Path(run.config).stem if isinstance(run.config, (str, Path)) else "run"
        name = f"{stem}-{number:03d}" if run.name is None else run.name
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            raise InputError(f"found the name {name!r}, expected one that a folder can have")
        if name in found:
            raise InputError(f"two runs are named {name!r}; give each its own name")
        found[name] = run
    return found


def _resolved(name: str, run: PlannedRun, given: bool) -> tuple[Config, Path]:
    """Read the config of a run; return it and where its relative paths start from."""
    try:
        overrides = run.overrides
        if run.tasks is not None:
            overrides = only_tasks(run.config, run.tasks, overrides)
        config, origin = configs.read(run.config, overrides)
    except (ConfigError, InputError) as error:
        raise InputError(f"run {name!r}: {error}") from None
    if given == (config.data.source is not None or config.data.sources is not None):
        what = "data from Python and data.source(s); remove one" if given else "no data: give some"
        raise InputError(f"run {name!r}: found {what}")
    return with_absolute(config, origin.folder), origin.folder


def _text(config: Config, origin: Path, path: Path) -> str:
    if config.data.source is None and config.data.sources is None:
        data = config.data.model_copy(update={"source": str((path / DATA).resolve())})
        config = config.model_copy(update={"data": data})
    return config_text(config, origin, given=True)


def keep_rows(path: Path, table: pa.Table) -> None:
    """Write the rows that runs read, or check that they are those written before.

    Raises:
        InputError: If the file holds other rows.
    """
    if not path.is_file():
        with replacing(path) as file:
            pq.write_table(table, file)
    elif _content(pq.ParquetFile(path).read()) != _content(table):
        raise InputError(
            f"{path} holds other rows than those given; name another folder, or give the same rows "
            "to continue"
        )


def _content(table: pa.Table) -> pa.Buffer:
    """Return bytes that are the same for the same rows.

    Missing values may be anything, and Arrow's own types are left out: the elements of lists are
    named "item" in memory and "element" in a file.
    """
    found = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata().combine_chunks(), found, store_schema=False)
    return found.getvalue()


def _config(path: Path, name: str) -> Path:
    return path / "configs" / f"{name}.yaml"


def _folder(output: str | Path | None) -> tuple[Path, bool]:
    """Return the folder of a plan, and whether it is new."""
    if output is None or not (Path(output) / "configs").is_dir():
        with folder.created(output, "plan", "plans") as path:
            return path, True
    return Path(output), False


def _check_same(path: Path, asked: Mapping[str, str], *, partial: bool) -> None:
    """Check that a folder has the same runs."""
    files = path.glob("configs/[!.]*.yaml")
    known = {each.stem: each.read_text(encoding="utf-8") for each in files}
    compared = known.keys() & asked.keys() if partial else known
    if other := sorted(name for name in compared if asked.get(name) != known[name]):
        if earlier := _earlier_place(path, known[other[0]]):
            raise InputError(
                f"{path} was made as {earlier}, and its configs name files there; move it back to "
                "continue, or start again in another folder"
            )
        raise InputError(
            f"{path} holds a plan of other runs ({', '.join(other[:5])}); name another folder, or "
            "give the same runs to continue"
        )


def _earlier_place(path: Path, text: str) -> Path | None:
    """Return where the folder of a plan of given rows was made; None if that is not elsewhere."""
    source = (yaml.safe_load(text).get("data") or {}).get("source")
    if not isinstance(source, str) or Path(source).name != DATA:
        return None
    earlier = Path(source).parent
    return None if earlier == path.resolve() else earlier
