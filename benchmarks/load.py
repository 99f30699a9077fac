"""Whole runs of growing size: seconds of one epoch with all that is around it, and peak memory.

Grows one thing at a time: tasks, classes of a task, columns, characters of a text. Each run is in a
fresh process, whose start and imports are not counted in the seconds (of the processor).

    python benchmarks/load.py [--subjects tasks,classes,columns,characters] [--plot docs/load.svg]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from process_memory import peak

SIZES = {
    "tasks": (16, 32, 64, 128),
    "classes": (125, 250, 500, 1000),
    "columns": (250, 500, 1000, 2000),
    "characters": (12_500, 25_000, 50_000, 100_000),
}
ROWS = 4000


def made(subject, size):
    """Return rows and a config."""
    rng = np.random.default_rng(0)
    columns, tasks, inputs = 8, {"y0": "regression"}, None
    if subject == "columns":
        columns = size
    if subject == "tasks":
        tasks = {f"y{n}": "regression" if n % 2 else "classification" for n in range(size)}
    rows = ROWS if subject != "characters" else 64
    x = rng.normal(size=(columns, rows)).astype(np.float32)
    table = {f"x{place}": column for place, column in enumerate(x)}
    for number, (name, kind) in enumerate(tasks.items()):
        values = x[number % columns] + rng.normal(size=rows)
        table[name] = np.where(values > 0, "yes", "no") if kind == "classification" else values
    if subject == "classes":
        tasks = {"y0": "classification"}
        table["y0"] = np.array([f"class {n}" for n in range(size)])[np.arange(rows) % size]
    if subject == "characters":
        words = np.array([f"word{n}" for n in range(500)])
        table = {"text": [" ".join(rng.choice(words, size // 8)) for _ in range(rows)]}
        table["y0"] = [float(len(text) + n) for n, text in enumerate(table["text"])]
        inputs = {"text": {"type": "text", "max_length": 256}}
    config = {"tasks": tasks, "training": {"epochs": 1}}
    return table, config | ({} if inputs is None else {"inputs": inputs})


def one(subject, size):
    import motet

    table, config = made(subject, size)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        motet.train(config, data=table, output=Path(folder, "run"))
        seconds = time.process_time() - start
    print(seconds, peak())


def measured(subject):
    found = []
    for size in SIZES[subject]:
        child = [sys.executable, __file__, "--one", subject, str(size)]
        output = subprocess.run(child, capture_output=True, text=True, check=True).stdout
        seconds, memory = map(float, output.split()[-2:])
        more = f"  {seconds / found[-1][1]:5.2f} times as long" if found else ""
        print(f"{subject:10}  {size:8,}  {seconds:7.2f} s  {memory:6,.0f} MiB{more}", flush=True)
        found.append((size, seconds, memory))
    return found


def drawn(results):
    """Draw seconds over size, a panel for each subject, as SVG; a line from 0 would be linear."""
    parts = []
    for place, (subject, found) in enumerate(results.items()):
        left, largest, highest = 60 + 230 * place, found[-1][0], max(s for _, s, _ in found)
        points = [(left + 150 * n / largest, 130 - 100 * s / highest) for n, s, _ in found]
        parts.append(f'<path d="M{left} 20V130h160" fill="none" stroke="#888"/>')
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#2266aa"/>')
        parts += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="#2266aa"/>' for x, y in points]
        parts.append(f'<text x="{left - 6}" y="34" text-anchor="end">{highest:.1f} s</text>')
        parts.append(f'<text x="{left - 6}" y="134" text-anchor="end">0</text>')
        parts.append(
            f'<text x="{left + 150}" y="148" text-anchor="end">{largest:,} {subject}</text>'
        )
    style = 'font-family="sans-serif" font-size="12" fill="#444"'
    size = f'width="{60 + 230 * len(results)}" height="160"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", default=",".join(SIZES))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", nargs=2)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], int(options.one[1]))
        return
    results = {subject: measured(subject) for subject in options.subjects.split(",")}
    if options.plot:
        options.plot.write_text(drawn(results))


if __name__ == "__main__":
    main()
