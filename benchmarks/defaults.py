"""Default runs on tables and texts, beside the models that people would use instead.

The protocol, fixed before anything was chosen:

- `--part validation` is for choices. Rows marked "test" are left out. Of a table, each seed holds
  out another 15 % of the rest at random, as these sets are small; of texts, the rows marked
  "validation" are held out. `--part test` prints the final table: "test" is held out. A model sees
  all other rows; 15 % of them, in the final table those marked "validation" where there are some,
  are what it stops early on. The others are fitted on all rows that a model sees. Of the sets
  "clothing_1000" and "snips_1000" these are 1,000 rows marked "train".
- An error per task: regression, the root mean squared error relative to that of the training mean;
  classification, 1 - accuracy, of imbalanced labels (adult, yeast) 1 - AUROC; tags, 1 - F1 of
  spans. The error of a set is the mean over its tasks, that of a method the mean over seeds.
- Methods are ranked on every set, and compared by their mean rank; between settings within one
  standard deviation of each other over seeds, the cheaper one is chosen.

Settings to choose from are `CANDIDATES`.
"""

import argparse
import contextlib
import io
import json
import pathlib
import time
import warnings
from dataclasses import dataclass, field

import linear_texts
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import motet

_FIXED = [
    "training.batch_size=512",
    "training.epochs=20",
    "training.early_stopping.patience=5",
    "training.average=null",
    "training.optimizer.learning_rate=0.001",
]
_PIECEWISE = {"number": {"scaling": "piecewise"}}
_PLAIN = {"type": "lstm", "characters": None, "word_dropout": 0.0}
_LSTM = {"text": {"tokenizer": "wordpiece", "encoder": {**_PLAIN, "dropout": 0.1}}}
_PIECES = {"text": {"tokenizer": "wordpiece", "encoder": _PLAIN}}
_LINEAR = {"decoder": "linear"}


def _tagger(task=None, **encoder):
    """Return what taggers change: words as tokens, options of the task and of an LSTM."""
    text = {"tokenizer": "words", "encoder": {**_PLAIN, **encoder}}
    return {"inputs": {"text": text}, "tasks": {"sequence_labelling": task or _LINEAR}}


_LETTERS = {"characters": {"width": 48}}
_HIDDEN = {**_LETTERS, "word_dropout": 0.15}
_CRF = {"decoder": "crf"}
CANDIDATES = {
    "default": {},
    "before": {
        "tables": [*_FIXED, "model.encoder.type=mlp"],
        "texts": _FIXED,
        "inputs": _PIECEWISE | _LSTM,
        "tasks": {"sequence_labelling": _LINEAR},
    },
    "mlp": {"tables": ["model.encoder.type=mlp"]},
    "ensemble": {"tables": ["model.encoder.type=ensemble"]},
    "piecewise": {"inputs": _PIECEWISE},
    "16 bins": {"inputs": {"number": {"bins": 16}}},
    "standard": {"inputs": {"number": {"scaling": "standard"}}},
    "logarithms": {"inputs": {"number": {"scaling": "standard", "transform": "auto"}}},
    "no average": {"tables": ["training.average=null"], "texts": ["training.average=null"]},
    "decay 0.1": {
        "tables": ["training.optimizer.weight_decay=0.1"],
        "texts": ["training.optimizer.weight_decay=0.1"],
    },
    "dropout 0.3": {"tables": ["model.encoder.dropout=0.3"]},
    "smoothed": {"tables": ["training.monitor_smoothing=auto"]},
    "uncertainty": {
        "tables": ["balancing.type=uncertainty"],
        "texts": ["balancing.type=uncertainty"],
    },
    "bag, rate 3e-3": {"texts": ["training.optimizer.learning_rate=0.003"]},
    "lstm": {"inputs": {"text": {"encoder": {"type": "lstm"}}}},
    "lstm, dropout .1": {"inputs": _LSTM},
    "smoothing 0.1": {"tasks": {"classification": {"label_smoothing": 0.1}}},
    "pieces": {"inputs": _PIECES, "tasks": {"sequence_labelling": _LINEAR}},
    "pieces, crf": {"inputs": _PIECES, "tasks": {"sequence_labelling": _CRF}},
    "words": _tagger(),
    "letters": _tagger(**_LETTERS),
    "letters, hidden words": _tagger(**_HIDDEN),
    "letters, hidden words, crf": _tagger(_CRF, **_HIDDEN),
    "letters, hidden words, crf, width 256": _tagger(_CRF, **_HIDDEN, width=256),
    "letters, hidden words, crf, dropout .4": _tagger(_CRF, **_HIDDEN, dropout=0.4),
    "letters, hidden words, crf, width 256, dropout .4": _tagger(
        _CRF, **_HIDDEN, width=256, dropout=0.4
    ),
    "crf, mean over words": {"tasks": {"sequence_labelling": {**_CRF, "mean_over": "words"}}},
    "letters, hidden words, crf, intent read": _tagger({**_CRF, "reads": ["intent"]}, **_HIDDEN),
}
"""What candidates change of a default run, by what the rows are ("tables", "texts"), and further
options of inputs and tasks by their type ("inputs", "tasks")."""

MULTI_TARGET = ("enb", "jura", "scpf", "wq", "oes97", "atp1d")
TABLES = ("adult", "yeast", *MULTI_TARGET)
TEXTS = ("clothing", "clothing_1000", "snips", "snips_1000")
_TEXTS = ("clothing", "snips")
_FEW = 1000
_MAJORITY_LOSES = {"adult", "yeast"}
"""Sets whose classes are scored by AUROC."""


@dataclass
class Problem:
    """A set: which rows are seen, which are held out, and what is predicted."""

    name: str
    seen: pd.DataFrame
    """Rows a model sees; "split" marks those that training stops on."""
    held: pd.DataFrame
    inputs: dict
    tasks: dict
    texts: bool = False
    auroc: bool = False
    numbers: list = field(default_factory=list)
    categories: list = field(default_factory=list)

    def config(self, seed, changes):
        """Return the config of a default run, with further options of inputs and tasks by type."""
        members = {
            section: {
                name: {"type": kind, **changes.get(section, {}).get(kind, {})}
                for name, kind in kinds.items()
            }
            for section, kinds in (("inputs", self.inputs), ("tasks", self.tasks))
        }
        return {
            "data": {"split": {"column": "split"}},
            **members,
            "training": {"seed": seed},
        }


# Sets ----------------------------------------------------------------------------------------


def load(name, folder, part, seed):
    """Return a set, cut for validation or test."""
    base = name.removesuffix("_1000")
    file = {"snips": "snips_joint", "clothing": "clothing_reviews"}.get(base, base)
    file = f"multi_target/{file}" if base in MULTI_TARGET else file
    rows = pq.read_table(folder / f"{file}.parquet").to_pandas()
    found = _PROBLEMS.get(base, _multi_target)(rows)
    rows = found.pop("rows", rows)
    if part == "validation":
        rows = rows[rows.split != "test"].copy()
        if base not in _TEXTS:
            rows["split"] = "train"
            rows.loc[_share(rows.index, seed), "split"] = "validation"
    if name != base:
        train = rows.index[rows.split == "train"].to_numpy()
        kept = np.random.default_rng(0).permutation(train)[:_FEW]
        rows = rows[(rows.split == part) | rows.index.isin(kept)]
    seen = rows[rows.split != part].copy()
    if (seen.split != "validation").all():
        seen.loc[_share(seen.index, 0), "split"] = "validation"
    held = rows[rows.split == part].drop(columns="split")
    auroc = base in _MAJORITY_LOSES
    return Problem(name, seen, held, texts=base in _TEXTS, auroc=auroc, **found)


def _share(rows, seed):
    order = np.random.default_rng(seed).permutation(rows.to_numpy())
    return order[: round(0.15 * len(order))]


def _adult(rows):
    rows["never_married"] = (rows.marital_status == "Never-married").astype(int)
    numbers = ["age", "education_num", "capital_gain", "capital_loss"]
    categories = ["workclass", "occupation", "race", "sex", "native_country"]
    return {
        "inputs": dict.fromkeys(numbers, "number") | dict.fromkeys(categories, "category"),
        "numbers": numbers,
        "categories": categories,
        "tasks": {
            "income": "classification",
            "never_married": "classification",
            "hours_per_week": "regression",
        },
    }


def _yeast(rows):
    numbers = [name for name in rows if name.startswith("x")]
    return {
        "inputs": dict.fromkeys(numbers, "number"),
        "numbers": numbers,
        "tasks": {name: "classification" for name in rows if name.startswith("y")},
    }


def _multi_target(rows):
    numbers = [name for name in rows if name.startswith("x_")]
    return {
        "inputs": dict.fromkeys(numbers, "number"),
        "numbers": numbers,
        "tasks": {name: "regression" for name in rows if name.startswith("target_")},
    }


def _clothing(rows):
    rows = rows[rows.text.notna() & rows.department.notna()].copy()
    rows["text"] = rows.title.fillna("").str.cat(rows.text, sep=" . ")
    tasks = ("recommended", "rating", "department")
    return {
        "rows": rows[["text", *tasks, "split"]],
        "inputs": {"text": "text"},
        "tasks": dict.fromkeys(tasks, "classification"),
    }


def _snips(rows):
    return {
        "inputs": {"tokens": "text"},
        "tasks": {"intent": "classification", "slots": "sequence_labelling"},
    }


_PROBLEMS = {"adult": _adult, "yeast": _yeast, "clothing": _clothing, "snips": _snips}


# Errors --------------------------------------------------------------------------------------


def errors(problem, predicted):
    """Return the error of each task; see the protocol.

    Args:
        problem: The set.
        predicted: By task, numbers, classes, sequences of tags, or where AUROC counts the
            probability of the second class.
    """
    return {name: _error(problem, name, found) for name, found in predicted.items()}


def _error(problem, task, found):
    true, kind = problem.held[task], problem.tasks[task]
    if kind == "regression":
        deviation = true - problem.seen[task].mean()
        return float(np.sqrt(np.mean((true - found) ** 2) / np.mean(deviation**2)))
    if kind == "sequence_labelling":
        return 1 - linear_texts.span_f1(list(map(list, true)), list(map(list, found)))
    if problem.auroc:
        return 1 - float(roc_auc_score(true == sorted(true.unique())[1], found))
    return 1 - float(np.mean(true.astype(str).to_numpy() == np.asarray(found, str)))


# Methods -------------------------------------------------------------------------------------


def run_motet(problem, seed, changes, output):
    """Train a default run with some changes; return errors and what was noted."""
    started = time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        config = problem.config(seed, changes)
        overrides = changes.get("texts" if problem.texts else "tables", [])
        run = motet.train(config, data=problem.seen, overrides=overrides, output=output)
    seconds = time.process_time() - started
    columns = run.predict(problem.held).to_pandas()
    predicted = {}
    for task, kind in problem.tasks.items():
        if kind == "classification" and problem.auroc:
            second = sorted(problem.held[task].unique())[1]
            predicted[task] = columns[f"{task}_probability_{second}"]
        else:
            predicted[task] = columns[task].to_numpy()
    epochs = max(record["epoch"] for record in run.history.records)
    return errors(problem, predicted), {"seconds": seconds, "epochs": epochs}


def run_table_model(problem, seed, name):
    """Fit one model of scikit-learn for each task."""
    started = time.process_time()
    predicted = {}
    for task, kind in problem.tasks.items():
        model = make_pipeline(_columns(problem, name), _model(name, kind, seed))
        model.fit(problem.seen, problem.seen[task])
        predicted[task] = (
            model.predict_proba(problem.held)[:, 1]
            if problem.auroc and kind == "classification"
            else model.predict(problem.held)
        )
    return errors(problem, predicted), {"seconds": time.process_time() - started}


def _columns(problem, name):
    if name == "linear":
        numbers = make_pipeline(SimpleImputer(), StandardScaler())
        categories = OneHotEncoder(handle_unknown="ignore")
    else:
        numbers = SimpleImputer()
        categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_column_transformer((numbers, problem.numbers), (categories, problem.categories))


def _model(name, kind, seed):
    regression = kind == "regression"
    if name == "linear":
        strengths = np.logspace(-3, 3, 13)
        return RidgeCV(strengths) if regression else LogisticRegression(max_iter=2000)
    if name == "boosting":
        made = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return made(random_state=seed)
    made = ExtraTreesRegressor if regression else ExtraTreesClassifier
    return made(300, random_state=seed)


def run_text_model(problem, seed, name):
    """Fit linear models of words for each task; they draw nothing that a seed would change."""
    started = time.process_time()
    rows = pd.concat([problem.seen, problem.held])
    test = np.arange(len(rows)) >= len(problem.seen)
    column = next(iter(problem.inputs))
    found = {}
    for task, kind in problem.tasks.items():
        if kind == "sequence_labelling":
            sentences, tags = list(rows[column]), list(map(list, rows[task]))
            found[task] = 1 - linear_texts.tags(sentences, tags, test)["span_f1"]
        else:
            texts = [each if isinstance(each, str) else " ".join(each) for each in rows[column]]
            found[task] = 1 - linear_texts.classes(texts, list(rows[task]), test)["accuracy"]
    return found, {"seconds": time.process_time() - started}


PEERS = {
    False: dict.fromkeys(("linear", "boosting", "trees"), run_table_model),
    True: {"linear": run_text_model},
}
"""What people would use instead, of tables and of texts."""


# The script ----------------------------------------------------------------------------------


def measure(args):
    """Measure what is missing in the file of results, and return all that was asked for."""
    path = pathlib.Path(args.results)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    results = {(r["part"], r["method"], r["set"], r["seed"]): r for r in known}
    wanted = {}
    for name in args.sets:
        is_text = name in TEXTS
        methods = [*(() if args.no_peers else PEERS[is_text]), *args.candidates]
        for method in methods:
            same = is_text and method == "linear"
            for seed in range(1 if same else args.seeds):
                key = args.part, method, name, seed
                if key not in results:
                    problem = load(name, args.data, args.part, seed)
                    results[key] = _measured(problem, key, is_text, args.runs)
                    with path.open("a") as file:
                        file.write(json.dumps(results[key]) + "\n")
                wanted[key] = results[key]
    return wanted


def _measured(problem, key, is_text, runs):
    part, method, name, seed = key
    peer = PEERS[is_text].get(method)
    if peer is not None:
        found, notes = peer(problem, seed, method)
    else:
        changes = CANDIDATES[method]
        output = pathlib.Path(runs) / f"{part}-{method}-{name}-{seed}"
        found, notes = run_motet(problem, seed, changes, output)
    error = float(np.mean(list(found.values())))
    print(f"{part} {name} {method} seed {seed}: {error:.4f} {notes}", flush=True)
    return {
        **dict(zip(("part", "method", "set", "seed"), key, strict=True)),
        "error": error,
        "tasks": found,
        **notes,
    }


def table(results, sets):
    """Print mean errors, their deviation over seeds, the mean rank and the processor time."""
    methods = list(dict.fromkeys(key[1] for key in results))
    means = pd.DataFrame(index=methods, columns=list(sets), dtype=float)
    spread, seconds = means.copy(), means.copy()
    for method in methods:
        for name in sets:
            found = [r for k, r in results.items() if (k[1], k[2]) == (method, name)]
            if found:
                error = [r["error"] for r in found]
                means.loc[method, name] = np.mean(error)
                spread.loc[method, name] = np.std(error, ddof=1) if len(error) > 1 else 0.0
                seconds.loc[method, name] = np.mean([r["seconds"] for r in found])
    print("\n| method | " + " | ".join(sets) + " | mean rank | seconds |")
    print("|---" * (len(sets) + 3) + "|")
    ranks = means.rank().mean(axis=1)
    for method in methods:
        cells = [f"{means.loc[method, name]:.3f} ± {spread.loc[method, name]:.3f}" for name in sets]
        total = seconds.loc[method].sum()
        print(f"| {method} | " + " | ".join(cells) + f" | {ranks[method]:.2f} | {total:.0f} |")


def main():
    """Measure and print one table for tables and one for texts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--sets", nargs="+", choices=(*TABLES, *TEXTS), default=TABLES + TEXTS)
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=["default"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("shared/data"))
    parser.add_argument("--results", default="defaults.jsonl", help="kept and continued")
    parser.add_argument("--runs", default="runs/defaults", help="folder of the runs")
    args = parser.parse_args()
    results = measure(args)
    for kind in (TABLES, TEXTS):
        sets = [name for name in kind if name in args.sets]
        if sets:
            table({key: each for key, each in results.items() if key[2] in sets}, sets)


if __name__ == "__main__":
    main()
