"""Epochs of `motet.Trainer` and of a loop by hand, in turn in one process, and their ratio."""

import statistics

import torch


def compare(what, pairs, clock, epochs):
    """Time pairs of epochs and print both times and the ratio, pair by pair.

    ``epochs`` is called with the number of a pair and gives a function for "motet" and "by hand".
    """
    times = {"motet": [], "by hand": []}
    for pair in range(pairs + 1):
        run = epochs(pair)
        for name in ("motet", "by hand") if pair % 2 else ("by hand", "motet"):
            start = clock()
            run[name]()
            if pair:  # the first pair warms up
                times[name].append(clock() - start)
    ratios = [a / b for a, b in zip(times["motet"], times["by hand"], strict=True)]
    print(f"{what}, {torch.get_num_threads()} threads")
    for name, values in times.items():
        print(f"{name:8} {statistics.median(values):7.3f} s an epoch (median of {len(values)})")
    print(
        f"ratio    {statistics.median(ratios):7.3f}   (pair by pair: "
        f"{min(ratios):.3f} to {max(ratios):.3f})"
    )
