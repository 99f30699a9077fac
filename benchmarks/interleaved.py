"""Ways to pass over the same data, in turn in one process, and the ratio of their times."""

import statistics
import time

import torch


def clock():
    """Return the clock to use: other programs do not count in the time of a single thread."""
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def seconds(pairs, passes, now=None):
    """Return the times of pairs of passes, by name.

    ``passes`` is called with the number of a pair and returns two functions by name; ``now`` is
    another clock.
    """
    times, now = {name: [] for name in passes(0)}, now or clock()
    for pair in range(pairs + 1):
        run = passes(pair)
        for name in run if pair % 2 else reversed(run):
            start = now()
            run[name]()
            if pair:  # the first pair warms up
                times[name].append(now() - start)
    return times


def ratios(times):
    """Return the ratios of the first to the second, pair by pair."""
    return [a / b for a, b in zip(*times.values(), strict=True)]


def ratio(pairs, passes):
    """Return the median of the ratios."""
    return statistics.median(ratios(seconds(pairs, passes)))


def compare(what, pairs, passes, now=None):
    """Print the times of both and the ratio, pair by pair."""
    times = seconds(pairs, passes, now)
    found = ratios(times)
    print(f"{what}, {torch.get_num_threads()} threads")
    for name, values in times.items():
        print(f"{name:12} {statistics.median(values):7.3f} s a pass (median of {len(values)})")
    print(
        f"ratio        {statistics.median(found):7.3f}   (pair by pair: "
        f"{min(found):.3f} to {max(found):.3f})"
    )


def steps_in_turn(runs, batches):
    """Yield the name of a run, what its step returned, and its time: each run, batch by batch.

    ``runs`` are trainers by name.
    """
    now = clock()
    for at, batch in enumerate(batches):
        for name in runs if at % 2 else reversed(runs):
            start = now()
            result = runs[name].train_step(batch)
            yield name, result, now() - start
