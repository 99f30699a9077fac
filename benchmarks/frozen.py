"""What `cache_frozen` saves: an epoch on a frozen encoder, with cached states and without.

The three tasks of examples/clothing.yaml on the first reviews of motet://clothing, encoded by a
frozen Hugging Face model: training and validation rows of a run, in turn in one process, with the
same batches. Prints what computing the states costs once, what loading them costs the next run, the
time of an epoch of each kind and their ratio. Time is that of the process's own thread.

    OMP_NUM_THREADS=1 python benchmarks/frozen.py --encoder FOLDER [--rows 256] [--pairs 2]

FOLDER holds the model, as written by ``save_pretrained``, such as all-MiniLM-L6-v2.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from interleaved import compare

from motet.data.arrays import ArrayData
from motet.data.sources import read
from motet.data.trees import take_rows
from motet.run.building import build_trainer
from motet.run.frozen_states import with_frozen_states
from motet.run.preparing import prepare

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "clothing.yaml"


def part(prepared, inputs, name):
    rows = getattr(prepared.rows.split, name)
    targets = {task: values[rows] for task, values in prepared.targets.items()}
    return ArrayData(take_rows(inputs, rows), targets)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.encoder.resolve()
    changes = [
        "data.source=null",
        "data.split={seed: 0}",
        f"inputs.review.tokenizer={folder}",
        f"inputs.review.encoder={{type: pretrained, path: {folder}}}",
        "training.freeze=[pretrained]",
        "training.device=cpu",
    ]
    table = read("motet://clothing").slice(0, arguments.rows)
    prepared = prepare(CONFIG, data=table, overrides=changes)
    encoding, kept = build_trainer(prepared), build_trainer(prepared)

    def states():
        start = time.thread_time()
        inputs = with_frozen_states(prepared, kept, print, lambda line: None)
        print(f"{time.thread_time() - start:.2f} s of the thread's time")
        return inputs

    with tempfile.TemporaryDirectory() as cache:
        os.environ["MOTET_CACHE"] = cache
        states()
        inputs = states()

        def epoch(trainer, inputs):
            train, valid = (part(prepared, inputs, name) for name in ("train", "validation"))
            trainer.train_epoch(train)
            trainer.evaluate(valid)

        def epochs(pair):
            return {
                "encoding": lambda: epoch(encoding, prepared.inputs),
                "kept": lambda: epoch(kept, inputs),
            }

        what = f"{len(table):,} reviews, three tasks, frozen encoder"
        compare(what, arguments.pairs, epochs)


if __name__ == "__main__":
    main()
