"""Executes one run of a plan: from its beginning, or from where it stopped."""

from time import perf_counter

import torch

from motet.planning.planned import Outcome, Work
from motet.problems import InputError
from motet.run import folder, resume, train
from motet.run.progress import progress_of
from motet.training import TrainingError


def carry_out(work: Work, threads: int) -> Outcome:
    """Train, or resume, a run to its end.

    Args:
        work: The run.
        threads: Number of threads that torch computes with.

    Returns:
        What became of it. Errors of the run are part of it; those of motet itself are raised.
    """
    torch.set_num_threads(threads)
    started = perf_counter()
    try:
        progress = progress_of(work.path)
        if progress == "finished":
            return Outcome(work.name, work.path, "finished")
        if progress == "begun":
            resume(work.path)
        else:
            if work.path.exists():
                folder.remove(work.path)
            train(work.config, output=work.path)
    except (InputError, TrainingError) as error:
        return Outcome(work.name, work.path, "failed", str(error), perf_counter() - started)
    except KeyboardInterrupt:
        return Outcome(work.name, work.path, "stopped", seconds=perf_counter() - started)
    return Outcome(work.name, work.path, "finished", seconds=perf_counter() - started)
