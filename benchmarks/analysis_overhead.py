"""What `training.analysis` costs at its default interval.

Two runs, one with the option and one without, make the same steps in turn in one process: an MLP
[256, 128] on 50 numbers in batches of 512, and a transformer (width 64, two layers) on 32 tokens in
batches of 32. Prints the median times of a step that looks at the gradients, of the others, and of
those without the option, and what follows for the time of all steps. Time is that of the process's
own thread, if it has one.

    OMP_NUM_THREADS=1 python benchmarks/analysis_overhead.py [--looks 7] [--tasks 3,8]
"""

import argparse
import statistics

import torch
from interleaved import steps_in_turn

import motet
from motet.data.arrays import ArrayData
from motet.encoders import MLP, Transformer
from motet.training.looks import Looks

VOCABULARY = 1000


def numbers(tasks, steps):
    """The MLP, and a look's worth of rows."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512 * steps, 50, generator=generator)
    return MLP(50), 512, {"numbers": x}, targets_of(x @ torch.randn(50, tasks, generator=generator))


def tokens(tasks, steps):
    """The transformer, and a look's worth of rows."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (32 * steps, 32), generator=generator)
    signal = torch.randn(VOCABULARY, tasks, generator=generator)[ids].mean(dim=1)
    encoder = Transformer(VOCABULARY, width=64, heads=4, layers=2)
    return encoder, 32, {"ids": ids}, targets_of(signal)


def targets_of(signal):
    """Numbers and classes in turn."""
    columns = (signal / signal.std(dim=0)).unbind(dim=1)
    return {f"t{at}": (y > 0).long() if at % 2 else y for at, y in enumerate(columns)}


def trainer_of(make, tasks, steps, **options):
    torch.manual_seed(0)
    encoder, size, inputs, targets = make(tasks, steps)
    kinds = [
        motet.tasks.Classification(name, classes=2) if at % 2 else motet.tasks.Regression(name)
        for at, name in enumerate(targets)
    ]
    model = motet.MultiTaskModel(encoder, kinds)
    return motet.Trainer(model, batch_size=size, device="cpu", **options), ArrayData(
        inputs, targets
    )


def measure(what, make, tasks, looks):
    steps = Looks({}).every(tasks)
    measuring, data = trainer_of(make, tasks, steps)
    runs = {"analysis": measuring, "none": trainer_of(make, tasks, steps, analysis=None)[0]}
    times = {"a step that looks": [], "other steps": [], "steps without": []}
    for number in range(looks):
        batches = data.epoch(measuring.batch_size, seed=0, number=number)
        for name, result, seconds in steps_in_turn(runs, batches):
            kind = "steps without" if name == "none" else "other steps"
            times["a step that looks" if result.looked else kind].append(seconds)
    assert len(times["a step that looks"]) == looks
    look, other, without = map(statistics.median, times.values())
    print(f"{what}, {tasks} tasks, a look in {steps} steps, {torch.get_num_threads()} threads")
    for name, each in times.items():
        print(f"{name:18} {1000 * statistics.median(each):8.2f} ms (median of {len(each):,})")
    more = look / other - 1
    print(f"a look takes {more:.2f} steps, {100 * more / steps:.2f} % of all")
    whole = (look + (steps - 1) * other) / (steps * without)
    print(f"all steps take {whole:.3f} times those without the option", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", type=int, default=7)
    parser.add_argument("--tasks", default="3,8")
    arguments = parser.parse_args()
    for tasks in map(int, arguments.tasks.split(",")):
        measure("MLP [256, 128], batch 512", numbers, tasks, arguments.looks)
        measure("transformer of width 64, batch 32", tokens, tasks, arguments.looks)


if __name__ == "__main__":
    main()
