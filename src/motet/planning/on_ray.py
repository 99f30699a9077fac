"""Ray: runs are tasks of a cluster, whose machines share the file system of the plan.

A run whose worker or machine is lost begins again on another, where it resumes.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from motet.extras import imported
from motet.planning.local import ATTEMPTS
from motet.planning.planned import Outcome, Work
from motet.problems import InputError


def carried_out(
    works: Sequence[Work],
    *,
    address: str | None,
    processes: int | None,
    threads: int,
    say: Callable[[str], object],
) -> Generator[Outcome, None, None]:
    """Execute runs as tasks of Ray.

    Args:
        works: The runs.
        address: Address of the cluster, such as ``"auto"``; if left out, that of the environment,
            or a new local one.
        processes: How many run at the same time; as many as the cluster has room for, if left out.
        threads: Number of threads, and of processors that Ray reserves, of each.
        say: Called with a line about the cluster.

    Yields:
        What became of each run, as they end.

    Raises:
        InputError: If Ray is not installed, the cluster does not answer, or another is in use.
    """
    ray = imported("ray", "engine='ray' needs")
    begun = not ray.is_initialized()
    if not begun and address is not None:
        raise InputError(
            f"found address {address!r}, but Ray is connected to a cluster already; leave address "
            "out to use that, or call ray.shutdown() first"
        )
    if begun:
        try:
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"no Ray cluster answers at {address!r} ({reason})") from None
    say(f"ray: {ray.cluster_resources().get('CPU', 0):.0f} processors")
    largest = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    if threads > largest:
        say(f"ray: no machine has {threads} processors yet, as the runs need; they wait for one")
    remote = ray.remote(num_cpus=threads, max_retries=ATTEMPTS - 1)(_carry_out)
    waiting, running = list(works), dict[Any, Work]()
    try:
        while waiting or running:
            while waiting and (processes is None or len(running) < processes):
                work = waiting.pop(0)
                running[remote.remote(work, threads)] = work
            try:
                (done, *_), _ = ray.wait(list(running))
            except KeyboardInterrupt:
                waiting.clear()
                for each in running:
                    ray.cancel(each)
                continue
            yield _outcome(ray, done, running.pop(done))
    finally:
        if begun:
            ray.shutdown()


def _outcome(ray: Any, done: Any, work: Work) -> Outcome:
    try:
        found: Outcome = ray.get(done)
    except ray.exceptions.TaskCancelledError:
        return Outcome(work.name, work.path, "stopped")
    except ray.exceptions.RayError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return Outcome(work.name, work.path, "failed", reason)
    return found


def _carry_out(work: Work, threads: int) -> Outcome:
    """Execute a run on a machine of the cluster."""
    from motet.planning.working import carry_out

    if not work.config.is_file():
        error = (
            f"{work.config} is not there on a machine of the cluster; the folder of a plan must be "
            "on a file system that all machines share"
        )
        return Outcome(work.name, work.path, "failed", error)
    return carry_out(work, threads)
