"""Ways to pass over the same data, in turn in one process, and the ratio of their times."""

import statistics

import torch


def compare(what, pairs, clock, passes):
    """Time pairs of passes and print both times and the ratio, pair by pair.

    ``passes`` is called with the number of a pair and returns two functions by name; the ratio
    is that of the first to the second.
    """
    times = {name: [] for name in passes(0)}
    for pair in range(pairs + 1):
        run = passes(pair)
        for name in run if pair % 2 else reversed(run):
            start = clock()
            run[name]()
            if pair:  # the first pair warms up
                times[name].append(clock() - start)
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    print(f"{what}, {torch.get_num_threads()} threads")
    for name, values in times.items():
        print(f"{name:12} {statistics.median(values):7.3f} s a pass (median of {len(values)})")
    print(
        f"ratio        {statistics.median(ratios):7.3f}   (pair by pair: "
        f"{min(ratios):.3f} to {max(ratios):.3f})"
    )


def steps_in_turn(runs, batches, clock):
    """Yield the name of a run, what its step returned, and its time: each run, batch by batch.

    ``runs`` are trainers by name.
    """
    for at, batch in enumerate(batches):
        for name in runs if at % 2 else reversed(runs):
            start = clock()
            result = runs[name].train_step(batch)
            yield name, result, clock() - start
