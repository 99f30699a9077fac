"""Facts of runs that never were, with everything a report can show."""

import numpy as np

from motet.report.facts import (
    ClassRows,
    ListRows,
    NumberRows,
    RankedRows,
    RunFacts,
    TagRows,
    TaskFacts,
    TextRows,
)
from motet.tags import TagSet

NASTY = "<script>alert('1 & 2')</script>"
LONG = "a task of a name that is so long that no table and no legend can show all of it at once"


def names(count):
    """Return names of tasks, one that is HTML and one that is long among them."""
    return [NASTY, LONG, *(f"task number {place}" for place in range(3, count + 1))][:count]


def rows(place, count=200):
    """Return test rows of one kind of label or another."""
    random = np.random.default_rng(place)
    numbers = np.arange(count)
    if place % 8 == 0:
        logits = random.normal(size=(count, 2)) * 2
        truth = (logits[:, 1] + random.normal(size=count) > logits[:, 0]).astype(int)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return ClassRows(("no <b>", "yes"), truth, logits.argmax(axis=1), shares, numbers)
    if place % 8 == 1:
        truth = random.normal(size=count) * 40
        levels = {"0.1": truth - 20, "0.9": truth + 20}
        said = truth + random.normal(size=count) * 9
        return NumberRows(truth, said, numbers, quantiles=levels)
    if place % 8 == 2:
        logits = random.normal(size=(count, 6))
        truth = random.integers(0, 6, count)
        logits[np.arange(count), truth] += 2
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        classes = [f"class {each}" for each in range(6)]
        return ClassRows(classes, truth, logits.argmax(axis=1), shares, numbers)
    if place % 8 == 3:
        truth = (random.random((count, 5)) < 0.3).astype(float)
        shares = np.clip(truth * 0.6 + random.random((count, 5)) * 0.4, 0, 1)
        labels = [f"label {each}" for each in range(5)]
        return TagRows(labels, truth, (shares > 0.5).astype(float), shares, numbers)
    if place % 8 == 4:
        tags = TagSet(["B-city", "B-name", "I-city", "I-name", "O"])
        truth = random.choice([0, 1, 4, 4, 4], size=(count, 7))
        said = np.where(random.random((count, 7)) < 0.9, truth, 4)
        return ListRows(tags, truth, said, numbers)
    if place % 8 == 5:
        truth = random.integers(0, 3, count).astype(float)
        lists = [f"list {each // 5}" for each in range(count)]
        return RankedRows(truth, truth + random.normal(size=count), lists, numbers)
    if place % 8 == 6:
        truth = [" ".join(random.choice(list("abcde"), 4)) for _ in range(count)]
        said = [" ".join(random.choice(list("abcde"), 4)) for _ in range(count)]
        return TextRows(truth, said, numbers)
    return NumberRows(truth := random.random(count), truth + random.normal(size=count), numbers)


def run(count, name="run-001", seed=0):
    """Return the facts of a run with so many tasks."""
    random = np.random.default_rng(seed)
    tasks = names(count)
    levels = random.random(count) * 0.8
    kinds = {
        task: TaskFacts(task, "classification", True, "2 classes", [rows(place)])
        for place, task in enumerate(tasks)
    }
    steps, epochs, evaluations = [], [], []
    angles = np.linspace(0, 1, count)
    for place in range(1, 41):
        cosines = np.clip(
            np.cos(3 * (angles[:, None] - angles)) + random.normal(size=(count, count)) * 0.2, -1, 1
        )
        cosines = (cosines + cosines.T) / 2
        steps.append(
            {
                "event": "step",
                "split": "train",
                "step": 50 * place,
                "epoch": 1 + place // 4,
                "balancer": "pcgrad",
                "gradient_norm": 2 / place,
                "learning_rate": 1e-3 / place,
                "cosines": cosines.tolist(),
                "compared": tasks,
                "cosines_by_group": {
                    g: (cosines * s).tolist() for g, s in (("encoder.0", 1), ("encoder.1", 0.5))
                },
                "affinity": (cosines * 0.01).tolist(),
                "tasks": {
                    task: {
                        "loss": float(1 / (place + at)),
                        "weight": 1 + at / 10,
                        "gradient_norm": 1 / (1 + at),
                    }
                    for at, task in enumerate(tasks)
                },
            }
        )
    for epoch in range(1, 11):
        scores = {
            t: float(level * (1 - 0.7**epoch)) for t, level in zip(tasks, levels, strict=True)
        }
        losses = dict.fromkeys(tasks, 1 / epoch)
        epochs.append(
            {
                "event": "epoch",
                "split": "train",
                "step": 200 * epoch,
                "epoch": epoch,
                "seconds": 3.0,
                "balancer": "pcgrad",
                "learning_rate": 1e-3,
                "skipped": 0,
                "tasks": {task: {"loss": loss} for task, loss in losses.items()},
                "sharing": {"gates": {task: [0.2, 0.3, 0.5] for task in tasks}},
            }
        )
        evaluations.append(
            {
                "event": "epoch",
                "split": "validation",
                "step": 200 * epoch,
                "epoch": epoch,
                "score": sum(scores.values()) / count,
                "scores": scores,
                "best": epoch < 9,
                "seconds": 3.0,
                "tasks": {
                    t: {"accuracy": 0.5 + s / 2, "loss": 1 / epoch, "count": 90}
                    for t, s in scores.items()
                },
                "fusion": {"image": 0.4, "text": 0.6},
            }
        )
    test = {
        **evaluations[-1],
        "event": "test",
        "split": "test",
        "trivial": {task: {"accuracy": 0.5} for task in tasks},
    }
    sizes = {"train": 1000, "validation": 90, "test": 200}
    labels = {
        task: {
            "summary": "2 classes",
            "rows": {s: n // (1 + at % 3) for s, n in sizes.items()},
            "classes": {"no <b>": sizes, "yes": sizes},
        }
        for at, task in enumerate(tasks)
    }
    data = {
        "sources": {
            "": {"title": "rows <i>.csv", "rows": sizes, "split": [], "notes": [], "tasks": labels}
        },
        "inputs": [{"name": "age", "type": "number", "reason": "numbers"}],
        "chosen": [{"key": "training.epochs", "value": 10, "reason": "few rows"}],
    }
    inputs = {("", row): {"age": str(row), "text": NASTY} for row in range(200)}
    return RunFacts(
        name,
        f"runs/{name}",
        kinds,
        steps,
        epochs,
        evaluations,
        test,
        data,
        environment={"python": "3.12", "packages": {"torch": "2.7"}},
        config="tasks: {}\n",
        card="# A model",
        sharing="mmoe",
        balancing="pcgrad",
        inputs=inputs,
    )


def suggestion(count, alone=0):
    """Return what a comparison suggests, for the last tasks single-task models."""
    tasks = names(count)
    shared, single = tasks[: count - alone], tasks[count - alone :]
    test = {"difference": 0.004, "bound": -0.006, "margin": 0.01, "p": 0.01, "rows": 800}
    tests = {task: {**test, "verdict": "not worse"} for task in shared}
    if shared:
        tests[shared[-1]]["verdict"] = "cannot tell"
    return {
        "choice": {
            "method": "<pcgrad>",
            "shared": shared,
            "single": single,
            "scores": {"equal": 0.6, "<pcgrad>": 0.65},
            "validation": {task: [0.8, 0.79] for task in tasks},
        },
        "runs": dict.fromkeys(tasks, "runs/pcgrad-seed-0"),
        "tests": tests,
        "levels": {"margin": 0.01, "error": 0.05},
    }


def comparison(count):
    """Return the results of a comparison of three methods."""
    tasks = names(count)

    def result(sign):
        return {
            "mean": 0.8,
            "low": 0.78,
            "high": 0.82,
            "difference": 0.02 * sign,
            "difference_low": 0.02 * sign - 0.01,
            "difference_high": 0.02 * sign + 0.01,
            "delta": 2.0 * sign,
            "p": 0.01,
            "verdict": "helps" if sign > 0 else "hurts",
        }

    nothing = dict.fromkeys(result(1)) | {"mean": 0.78, "low": 0.77, "high": 0.79}
    ran = {
        "what": "a model",
        "steps": 100,
        "seconds": 3.0,
        "memory": None,
        "search_seconds": 0,
        "chosen": {},
    }
    methods = {
        "single_task": {
            **ran,
            "tasks": dict.fromkeys(tasks, nothing),
            "delta_m": None,
            "delta_m_equal_compute": None,
            "rank": 2.0,
        }
    }
    for name, sign in (("equal", 1), ("<pcgrad>", -1)):
        methods[name] = {
            **ran,
            "tasks": dict.fromkeys(tasks, result(sign)),
            "rank": 1.0,
            "delta_m": {
                "mean": 2.0 * sign,
                "low": 2.0 * sign - 1,
                "high": 2.0 * sign + 1,
                "count": 3,
            },
            "delta_m_equal_compute": None,
        }
    return {
        "baseline": "single_task",
        "unit": "seed",
        "repeats": [0, 1, 2],
        "error": 0.05,
        "convention": "positive is better",
        "guarantee": "adjusted for all of them",
        "suggestion": None,
        "methods": methods,
        "failed": {},
        "best": "equal",
        "notes": ["three seeds"],
        "metrics": {task: {"name": "accuracy", "higher": True} for task in tasks},
    }
