"""Whatever is thrown at it: a run that can start, or an error that says what to do.

Random tables, files and configs go through `motet.run.check`, and what passes is trained for an
epoch and used to predict. Nothing but `InputError` and `TrainingError` may come out. Each test
counts its cases; ``pytest -m slow`` makes many more.
"""

import datetime
import io
import re
import shutil
from collections import Counter
from copy import deepcopy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motet.problems import InputError
from motet.run import check, initial_config, load, train
from motet.training.trainer import TrainingError

REMEDY = re.compile(
    r"expected|did you mean|known:|columns:|remove|rename|leave|write|use |give|name |choose|check|correct|"
    r"save|turn |missing, but required|set |try |keep one|enable one|make it|call "
)
TINY = {
    "model": {"encoder": {"hidden": [4]}},
    "training": {"epochs": 1, "batch_size": 16, "device": "cpu", "monitor": "loss"},
}


def outcome(action):
    """Carry out an action; return its result, or None if it was refused as it should be."""
    try:
        return action()
    except InputError as error:
        assert REMEDY.search(str(error)), f"no remedy in: {error}"
        assert "errors.pydantic.dev" not in str(error)
        return None


# Tables --------------------------------------------------------------------------------------

HUGE = [2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 + 1, 10**400]
NUMBERS = st.one_of(
    st.floats(-5, 5),
    st.sampled_from([0.0, -0.0, 1e-320, 1e38, -1e300, 1.7e308, float("nan")]),
    st.sampled_from([float("inf"), -float("inf")]),
)
WORDS = st.one_of(
    st.sampled_from(["", " ", "yes", "no", "NA", "nan", "1", "true"]), st.text(max_size=5)
)
DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
KINDS = {
    "small": st.integers(0, 3),
    "whole": st.integers(-1000, 1000),
    "huge": st.sampled_from(HUGE),
    "number": st.floats(-1e6, 1e6),
    "odd": NUMBERS,
    "truth": st.booleans(),
    "class": st.sampled_from(["a", "b", "c"]),
    "word": WORDS,
    "date": DATES,
    "moment": st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    "bytes": st.binary(max_size=3),
    "vector": st.lists(st.floats(-5, 5), min_size=2, max_size=2),
    "tags": st.lists(st.sampled_from(["red", "big"]), max_size=2),
    "ragged": st.lists(NUMBERS, max_size=3),
    "record": st.fixed_dictionaries({"x": st.integers(0, 3)}),
    "nothing": st.none(),
    "mixed": st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.floats(), DATES),
}
INPUT_TYPES = ["number", "category", "vector"]
TYPES = ["classification", "regression", "multi_label"]
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "y", "score", "loss", "a.b", "no", "train", "*", "x_*", "a[0]", "1"]
    ),
    st.text(min_size=1, max_size=4),
)


@st.composite
def columns(draw, kind, rows):
    """A column of one kind, perhaps constant, perhaps with missing values."""
    values = KINDS[kind]
    if draw(st.integers(0, 3)) == 3:
        values = st.sampled_from(draw(st.lists(values, min_size=1, max_size=3)))
    if draw(st.integers(0, 2)) == 2:
        values = st.one_of(st.none(), values, values)
    drawn = draw(st.lists(values, min_size=min(rows, 12), max_size=min(rows, 12)))
    return [drawn[row % len(drawn)] for row in range(rows)]


FITTING = {
    "small": ["classification", "regression"],
    "whole": ["regression"],
    "number": ["regression"],
    "odd": ["regression"],
    "truth": ["classification"],
    "class": ["classification"],
    "word": ["classification"],
    "tags": ["multi_label"],
    "vector": ["regression"],
}


@st.composite
def runs(draw):
    """A mapping of columns of one length, and a config for it that may well fit."""
    rows = draw(st.sampled_from([60, 30, 12, 60, 30, 12, 5, 3, 2, 1]))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    sane = draw(st.booleans())
    kinds = {name: draw(st.sampled_from(sorted(FITTING if sane else KINDS))) for name in names}
    table = {name: draw(columns(kind, rows)) for name, kind in kinds.items()}
    if draw(st.integers(0, 5)):
        kinds["plain"], table["plain"] = "number", [row / 3 for row in range(rows)]
    config = draw(settings_for(kinds))
    rows = draw(st.sampled_from([1, 3, 20]))
    later = {name: draw(columns(kind, rows)) for name, kind in kinds.items()}
    for name in draw(st.lists(st.sampled_from([*config["tasks"], *names]), max_size=1)):
        later.pop(name, None)
    return config, table, later or {"other": [1]}


@st.composite
def settings_for(draw, kinds):
    """A config for a table with these kinds of columns: targets, perhaps inputs, perhaps a split."""
    names = list(kinds)
    targets = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    tasks = {}
    for place, target in enumerate(targets):
        fitting = TYPES if draw(st.integers(0, 9)) == 9 else FITTING.get(kinds[target], TYPES)
        task = {"type": draw(st.sampled_from(fitting))}
        if draw(st.booleans()):
            tasks[f"task{place}"] = {**task, "column": target}
        else:
            tasks[target] = task
    config = {"tasks": tasks, **deepcopy(TINY)}
    rest = [name for name in names if name not in targets]
    if rest and draw(st.integers(0, 3)) == 3:
        config["inputs"] = {name: draw(st.sampled_from(INPUT_TYPES)) for name in rest}
    if draw(st.integers(0, 3)) == 3:
        strange = [{"test": 0}, {"stratify": names[0]}, {"column": names[-1]}, {"validation": 0.4}]
        config["data"] = {"split": draw(st.sampled_from(strange))}
    return config


def carried_out(config, table, later, folder):
    """Check, train for an epoch, predict and evaluate; return how far it went."""
    if outcome(lambda: check(config, data=table)) is None:
        return "refused"
    try:
        run = outcome(lambda: train(config, data=table, output=folder))
    except TrainingError as error:
        assert REMEDY.search(str(error))
        return "not finite"
    if run is None:
        return "refused in training"
    assert outcome(lambda: run.predict(table)).num_rows == len(next(iter(table.values())))
    other = outcome(lambda: load(folder).predict(later))
    if other is None:
        return "trained, later rows refused"
    assert other.num_rows == len(next(iter(later.values())))
    outcome(lambda: run.evaluate(later))
    return "trained"


# Files ---------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [b"\xff", b"\xff\xfe", b"\0", b"\xef\xbb\xbf", b'"', b",", b"\n", b"\r\n", b"\n\n", b";", b"{"]
    + [b"null\n", b"\\u0000", b"\\ud800", b"1e999", b"NaN", b"99999999999999999999", b"\xe9", b"}"]
    + [b"[", b'{"a": {"b": 1}}\n', b'{"a": 1, "a": 2}\n', b"2020-01-01", b"true", b"PAR1", b""]
)
CLEAN = {
    "csv": b"a,b,c,d\n" + b"".join(b"%d,%d.5,x%d,yes\n" % (n, n, n % 3) for n in range(12)),
    "jsonl": b"".join(b'{"a": %d, "b": [1, %d], "c": "x%d"}\n' % (n, n, n % 3) for n in range(12)),
}


def written(table, suffix):
    file = io.BytesIO()
    pq.write_table(pa.table(table), file)
    return file.getvalue()


CLEAN["parquet"] = written({"a": list(range(12)), "c": ["x", "y", "z"] * 4}, "parquet")


@st.composite
def files(draw):
    """A suffix and bytes: a good file in which some places are overwritten or cut."""
    suffix = draw(st.sampled_from(sorted(CLEAN)))
    content = CLEAN[draw(st.sampled_from([suffix, suffix, suffix, *sorted(CLEAN)]))]
    for _ in range(draw(st.sampled_from([1, 1, 0, 2]))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.sampled_from([start, start + 1, start, start + 5, len(content)]))
        content = content[:start] + draw(PIECES) + content[end:]
    return suffix, content


def read_and_begun(file, folder):
    """Read a file, check a run on it, and begin a config for it."""
    suffix, content = file
    folder.mkdir()
    path = folder / f"rows.{suffix}"
    path.write_bytes(content)
    config = {"data": {"source": str(path)}, "tasks": {"c": {"type": "classification"}}, **TINY}
    found = outcome(lambda: check(config))
    text = outcome(lambda: initial_config(str(path), ["c"]))
    if text is None:
        return "refused"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    begun = outcome(lambda: check(folder / "config.yaml"))
    return "prepared" if found and begun else "refused in part"


# Configs -------------------------------------------------------------------------------------

WHOLE = {
    "data": {"source": "rows.csv", "split": {"validation": 0.2, "test": 0.2, "stratify": "c"}},
    "inputs": {"a": {"type": "number", "scaling": "quantile"}, "b": "number"},
    "tasks": {
        "c": {"type": "classification", "label_smoothing": 0.1, "head": {"hidden": [3]}},
        "d": {"type": "regression", "loss": "huber", "delta": 2.0, "column": "a2", "main": True},
    },
    "model": {"encoder": {"type": "mlp", "hidden": [4], "dropout": 0.0}, "sharing": "hard"},
    "balancing": {"type": "uncertainty", "form": "revised"},
    "training": {
        "epochs": 1,
        "batch_size": 16,
        "optimizer": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.5},
        "lr_schedule": {"type": "step", "factor": 0.5},
        "monitor": "loss",
        "early_stopping": {"patience": 2},
        "device": "cpu",
    },
}
JUNK = st.one_of(
    st.sampled_from(
        [None, True, 0, -1, 1, 10**30, 0.5, 1e300, float("nan"), float("inf"), "", "a", "c", "auto"]
        + ["mlp", "hard", [], [1], ["a"], {}, {"type": "mlp"}, {"type": None}, {1: 2}, [[]], "1e5"]
    ),
    st.text(max_size=4),
)


def places(config, key=()):
    """Every path to a key of nested mappings."""
    for name, value in config.items():
        yield (*key, name)
        if isinstance(value, dict):
            yield from places(value, (*key, name))


@st.composite
def configs(draw):
    """A good config with some random edits: keys left out, misspelt, added; values of any kind."""
    config = deepcopy(WHOLE)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        key = draw(st.sampled_from(list(places(config)) or [()]))
        if not key:
            break
        here = config
        for part in key[:-1]:
            here = here[part]
        edit = draw(st.sampled_from(["delete", "delete", "value", "value", "misspell", "add"]))
        if edit == "value":
            here[key[-1]] = deepcopy(draw(JUNK))
        elif edit == "add":
            here[draw(st.sampled_from(["type", "column", "weight", "x", "", 7]))] = deepcopy(draw(JUNK))
        else:
            value = here.pop(key[-1])
            if edit == "misspell":
                place = draw(st.integers(0, len(str(key[-1]))))
                here[
                    str(key[-1])[:place] + draw(st.sampled_from("xe_ ")) + str(key[-1])[place + 1 :]
                ] = value
    return config


@st.composite
def texts(draw):
    """The text of such a config, some characters of which may have been replaced."""
    text = yaml.safe_dump(draw(configs()), sort_keys=False, allow_unicode=True)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(text)))
        new = draw(
            st.sampled_from(
                [":", "- ", "{", "}", "\t", "\n", "'", "*x", "&x ", "#", "? ", "!!x ", "é", "\0"]
            )
        )
        text = text[:place] + new + text[place + draw(st.integers(0, 2)) :]
    return text


def checked(text, folder):
    folder.mkdir()
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    rows = [f"{n % 5},{n / 3},{'xyz'[n % 3]},{n * n % 7}" for n in range(30)]
    (folder / "rows.csv").write_text("\n".join(["a,b,c,a2", *rows]), encoding="utf-8")
    return "prepared" if outcome(lambda: check(folder / "config.yaml")) else "refused"


# Counting ------------------------------------------------------------------------------------

FUZZ = {
    "tables": (runs(), lambda run, folder: carried_out(*run, folder)),
    "files": (files(), read_and_begun),
    "configs": (texts(), checked),
}
DRIVEN = FUZZ
CASES = [
    pytest.param(100, id="quick"),
    pytest.param(5000, id="thorough", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("kind", FUZZ)
def test_anything_works_or_is_refused_with_a_remedy(kind, cases, tmp_path, capsys):
    inputs, action = FUZZ[kind]
    tally = Counter()

    @settings(max_examples=cases, suppress_health_check=list(HealthCheck), database=None)
    @given(inputs)
    def holds(case):
        folder = tmp_path / str(sum(tally.values()))
        tally[action(case, folder)] += 1
        shutil.rmtree(folder, ignore_errors=True)

    holds()
    with capsys.disabled():
        found = ", ".join(f"{count:,} {each}" for each, count in sorted(tally.items()))
        print(f"\n{sum(tally.values()):,} {kind}: {found}")
    assert sum(tally.values()) >= cases
    assert len(tally) > 1, "all cases ended the same way, so they test little"
