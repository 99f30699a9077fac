"""What training from disk costs compared with training from memory: time per row, and memory.

Rows of 15 columns (10 numbers, 3 categories, a number and a class to predict) are written to a
Parquet file, and a small model is trained on them with ``data.stream: true`` and without, each in a
process of its own. Prints, for each number of rows,

- the time per row and epoch in memory and streamed, preparation counted, that of all processors
  together, which other work on the machine hardly changes, and their ratios;
- the same from the second epoch on;
- the largest memory of the process.

    python benchmarks/streaming.py [--rows 1000000 4000000] [--epochs 3] [--streamed-only]
                                   [--batch-size 1024] [--hidden 64] [--folder /tmp]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from process_memory import peak

CHUNK = 1_000_000


def write_rows(path, rows):
    """Write rows chunk by chunk; every chunk is drawn from its own seed."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, CHUNK):
        count, draws = min(CHUNK, rows - start), np.random.default_rng(start)
        x = draws.normal(size=(10, count)).astype(np.float32)
        kinds = draws.integers(0, 50, (3, count))
        columns = {f"x{n}": each for n, each in enumerate(x)}
        names = np.array([f"kind {n}" for n in range(50)])
        columns |= {
            f"k{n}": pa.DictionaryArray.from_arrays(each.astype(np.int32), names)
            for n, each in enumerate(kinds)
        }
        effect = np.sin(kinds).sum(axis=0)
        columns["spend"] = x[0] + 2 * x[1] + effect + draws.normal(size=count)
        columns["bought"] = (x[2] + effect + draws.normal(size=count) > 0).astype(np.int64)
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=100_000)
    writer.close()


def train(path, stream, options):
    """Train in this process; return the times and the largest memory."""
    import motet

    inputs = {f"x{n}": {"type": "number", "scaling": "standard"} for n in range(10)}
    inputs |= {f"k{n}": "category" for n in range(3)}
    config = {
        "data": {
            "source": str(path),
            "stream": stream,
            "split": {"validation": 0.01, "test": 0.01},
        },
        "inputs": inputs,
        "tasks": {"spend": {"type": "regression"}, "bought": {"type": "classification"}},
        "model": {"encoder": {"type": "mlp", "hidden": [options.hidden]}},
        "training": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "device": "cpu",
            "early_stopping": None,
        },
    }
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        started, used = time.perf_counter(), time.process_time()
        run = motet.train(config, output=Path(folder) / "run")
        whole, records = time.perf_counter() - started, run.history.records
        used = time.process_time() - used
    epochs = [each["seconds"] for each in records if each["split"] == "train"]
    score = max(each["score"] for each in records if "score" in each)
    return {"whole": whole, "used": used, "epochs": epochs, "peak": peak(), "score": score}


def measured(path, stream, options):
    """Train in another process, as the largest memory of a process never shrinks."""
    command = [sys.executable, __file__, "--one", str(path), "--hidden", str(options.hidden)]
    command += ["--epochs", str(options.epochs), "--batch-size", str(options.batch_size)]
    done = subprocess.run(
        [*command, *(["--streamed-only"] if stream else [])],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--streamed-only", action="store_true")
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(train(options.one, options.streamed_only, options)))
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder) / "rows.parquet"
            write_rows(path, rows)
            print(f"{rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB of Parquet")
            found = {}
            for name in ("streamed",) if options.streamed_only else ("in memory", "streamed"):
                each = found[name] = measured(path, name == "streamed", options)
                later = sum(each["epochs"][1:]) / max(len(each["epochs"]) - 1, 1) / rows
                each["per row"] = each["whole"] / rows / options.epochs
                each["later"] = later
                each["used"] /= rows * options.epochs
                print(
                    f"  {name:<10} {1e6 * each['per row']:.2f} us per row and epoch, preparation "
                    f"counted ({1e6 * each['used']:.2f} of processors); {1e6 * later:.2f} from the "
                    "second epoch on; "
                    f"{each['peak']:,.0f} MB; score {each['score']:.4f}",
                    flush=True,
                )
            if len(found) == 2:
                ratios = [
                    found["streamed"][each] / found["in memory"][each]
                    for each in ("per row", "used", "later")
                ]
                print(
                    f"  streamed / in memory: {ratios[0]:.2f} (processors {ratios[1]:.2f}), from "
                    f"the second epoch on {ratios[2]:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
