"""Whatever happens to a run folder: it loads, resumes and predicts, or one error names the reason.

Each case damages one file of a finished or an interrupted run at random, also with valid content
and right digests, as someone who means harm would. Nothing but an `InputError` or a
`TrainingError` may come out, within seconds and without much memory.
"""

import resource
import shutil
import signal
import warnings
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from fuzz_folders import damage, generator
from power_cuts import cut_short

import motet
from motet.problems import InputError
from motet.training import TrainingError

CONFIG = {
    "inputs": {
        "x": {"type": "number", "scaling": "quantile"},
        "k": "category",
        "v": {"type": "vector", "width": 2},
        "t": {"type": "text", "encoder": {"type": "lstm", "width": 4}},
    },
    "tasks": {
        "a": "classification",
        "b": "regression",
        "m": "multi_label",
        "o": {"type": "ordinal", "classes": ["low", "middle", "high"]},
    },
    "model": {
        "encoder": {"type": "mlp", "hidden": [4]},
        "sharing": {"type": "mmoe", "experts": 2, "expert_width": 4},
    },
    "balancing": "uncertainty",
    "training": {
        "epochs": 2,
        "batch_size": 16,
        "checkpoint_every": 2,
        "keep": "each",
        "device": "cpu",
    },
}
ROOM = 4 << 30
"""Bytes that a case may take."""
SECONDS = 20


def rows(count=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=count)
    return {
        "x": x.tolist(),
        "k": rng.choice(["red", "green"], count).tolist(),
        "v": rng.normal(size=(count, 2)).tolist(),
        "t": rng.choice(["a good day", "a bad", "day"], count).tolist(),
        "a": np.where(x > 0, "yes", "no").tolist(),
        "b": (x * 2).tolist(),
        "m": [["p"] if each > 0 else ["p", "q"] for each in x],
        "o": np.where(x > 0, "high", np.where(x > -1, "middle", "low")).tolist(),
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A finished run, and one that died."""
    path = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        cut_short(CONFIG, path / "parts", patch, 6, data=rows())
    motet.train(CONFIG, data=rows(), output=path / "whole")
    return path


def use(folder):
    """Load, predict, evaluate and read the history of a run."""
    run = motet.load(folder)
    run.predict(rows(5))
    run.evaluate(rows())
    run.history.table()


@contextmanager
def limited():
    """Fail where a case takes too long or too much memory."""

    def stop(*_):
        raise AssertionError(f"it takes more than {SECONDS} s")

    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, stop)  # of the processor, not the clock
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)


def outcome(case, folders, path):
    rng = generator(case)
    kind = rng.choice(["whole", "whole", "parts"])
    folder = path / str(case)
    shutil.copytree(folders / kind, folder)
    done = damage(folder, rng)
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            motet.resume(folder, rows()) if kind == "parts" else use(folder)
    except (InputError, TrainingError):
        return "refused"
    except Exception as error:
        raise AssertionError(f"case {case}: {done} of a {kind} run") from error
    finally:
        shutil.rmtree(folder)
    return "used"


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(range(20), id="few"),
        pytest.param(range(100, 2100), id="many", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_run_is_used_or_refused(folders, tmp_path, capsys, cases):
    tally = Counter(outcome(case, folders, tmp_path) for case in cases)
    with capsys.disabled():
        print(f"\n{len(cases):,} run folders: {tally}")
    assert min(tally["used"], tally["refused"]) >= len(cases) / 20
