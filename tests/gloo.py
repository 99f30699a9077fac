"""Runs a function in several processes that can talk to each other, for tests."""

import multiprocessing
import tempfile
import time
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed


def in_processes(count, function, *arguments, timeout=120):
    """Call a function in ``count`` processes of one gloo group.

    Processes are forked, so the function may be local and use all that the test has made.

    Returns:
        What it returned in each process, in their order.

    Raises:
        AssertionError: If it failed in some process, with the traceback, or took too long.
    """
    import torch._dynamo  # seconds, which each process would spend otherwise

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which sleep
        context = multiprocessing.get_context("fork")
        started = [
            context.Process(target=_work, args=(Path(folder), rank, count, function, arguments))
            for rank in range(count)
        ]
        for each in started:
            each.start()
        end = time.monotonic() + timeout
        while any(each.is_alive() for each in started) and time.monotonic() < end:
            if any(each.exitcode for each in started):  # the others would wait for it
                time.sleep(0.5)
                break
            time.sleep(0.005)
        late = [rank for rank, each in enumerate(started) if each.is_alive()]
        for each in started:
            each.kill()
            each.join()
        failed = [path.read_text() for path in sorted(Path(folder).glob("error-*"))]
        assert not failed, "\n".join(failed)
        assert not late, f"processes {late} were still running after {timeout} s"
        return [
            torch.load(Path(folder) / f"result-{rank}", weights_only=False) for rank in range(count)
        ]


def _work(folder, rank, count, function, arguments):
    torch.set_num_threads(1)
    store = distributed.FileStore(str(folder / "store"), count)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=count, timeout=timedelta(seconds=60)
    )
    try:
        torch.save(function(*arguments), folder / f"result-{rank}")
    except BaseException:
        (folder / f"error-{rank}").write_text(f"process {rank}:\n{traceback.format_exc()}")
        raise SystemExit(1) from None
    finally:
        distributed.destroy_process_group()
