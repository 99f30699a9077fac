"""Digests of the final weights of short runs, to check that a code change changes no result.

Trains a few hundred rows of adult, clothing and SNIPS (../shared/data, skipped where absent) for
two epochs with five balancers, and with four sharing schemes. Digests depend on the machine and its
threads, so compare them on the same machine only:

    OMP_NUM_THREADS=1 python benchmarks/digests.py --save before.json
    OMP_NUM_THREADS=1 python benchmarks/digests.py --compare before.json
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import motet
from motet.data.sources import read

ROOT = Path(__file__).resolve().parents[1]
ROWS = 600
BALANCERS = ("equal", "uncertainty", "pcgrad", "upgrad", "graddrop")
SCHEMES = {
    "soft": {},
    "mmoe": {"experts": 3, "expert_width": 16},
    "cgc": {"experts": 2, "expert_width": 16},
    "cross_stitch": {},
}
PROJECTS = {
    "adult": "motet://adult",
    "clothing": "motet://clothing",
    "snips": str(ROOT.parent / "shared" / "data" / "snips.parquet"),
}
SMALL = ["data.source=null", "training.epochs=2", "training.batch_size=64", "training.device=cpu"]


def digest(config, rows, overrides):
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data=rows, overrides=overrides, output=Path(folder) / "run")
        found = hashlib.sha256()
        for name, tensor in sorted(run.model.state_dict().items()):
            found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def digests():
    for project, source in PROJECTS.items():
        if not (source.startswith("motet:") or Path(source).exists()):
            continue
        table = read(source)
        step = max(1, len(table) // ROWS)
        rows = table.take(list(range(0, step * ROWS, step)))
        config = ROOT / "examples" / f"{project}.yaml"
        chosen = {f"balancing={name}": [f"balancing={{type: {name}}}"] for name in BALANCERS}
        schemes = {} if project == "snips" else SCHEMES  # most of them have no word states
        for name, options in schemes.items():
            chosen[f"sharing={name}"] = [f"model.sharing={json.dumps({'type': name, **options})}"]
        for name, overrides in chosen.items():
            yield f"{project} {name}", lambda c=config, r=rows, o=overrides: digest(c, r, o + SMALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path)
    parser.add_argument("--compare", type=Path)
    given = parser.parse_args()
    before = json.loads(given.compare.read_text()) if given.compare else {}
    found = {}
    for name, compute in digests():
        try:
            found[name] = compute()
        except motet.InputError as error:
            found[name] = f"refused: {error}"[:80]
        known = before.get(name, found[name])
        print(
            f"{name:40} {found[name]}{'' if known == found[name] else f'  WAS {known}'}", flush=True
        )
    if given.save:
        given.save.write_text(json.dumps(found, indent=1))
    same = all(before.get(name, each) == each for name, each in found.items())
    print("all as before" if same else "CHANGED")


if __name__ == "__main__":
    main()
