"""What docs/export.md and the file beside a model say suffices to feed it, without motet."""

import csv
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import motet

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def texts_of_cells(cells, as_texts):
    """The text of each cell, None where missing: of texts, numbers or truth values."""
    known = [cell.strip() for cell in cells if cell is not None]
    if as_texts:
        return cells
    if all(cell.lower() in ("true", "false") for cell in known):
        return [None if cell is None else cell.strip().lower() for cell in cells]
    try:
        numbers = [None if cell is None else float(cell) for cell in cells]
    except ValueError:
        return cells
    shown = [each if each is None or each % 1 else int(each) for each in numbers]
    return [None if each is None else str(each) for each in shown]


def number(cell):
    return float({"true": 1, "false": 0}.get(cell, cell))


def scaled(y, learned):
    fitted = learned["fitted"]
    if "log" in learned:
        y = np.sign(y) * np.log1p(abs(y) / learned["log"])
    if learned["scaling"] == "quantile":
        return float(np.interp(y, fitted["knots"], fitted["scores"]))
    if learned["scaling"] == "piecewise":
        y = np.interp(y, fitted["knots"], range(len(fitted["knots"])))
    return float(np.clip((y - fitted["mean"]) / fitted["std"], -1e6, 1e6))


def numbers_of(value, learned):
    """A number, None if it is missing, as columns."""
    columns = [0.0 if value is None else scaled(value, learned)]
    return [*columns, float(value is None)] if learned["missing"] else columns


def moment(cell, zone):
    found = datetime.fromisoformat(cell.strip())
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))


def days(time):
    return (time.astimezone(UTC) - EPOCH) / timedelta(days=1)


def times_of(cell, others, learned):
    """A time and its gaps as columns."""
    missing = cell is None
    time = EPOCH if missing else moment(cell, learned["zone"])
    columns = []
    for part in learned["parts"]:
        if part == "trend":
            first, last = learned["first"], learned["last"]
            half = (last - first) / 2 or 1
            columns.append((np.clip(days(time), first, last) - (first + last) / 2) / half)
            continue
        local = time.astimezone(ZoneInfo(learned["zone"]))
        year = datetime(local.year + 1, 1, 1) - datetime(local.year, 1, 1)
        next_month = datetime(local.year + local.month // 12, local.month % 12 + 1, 1)
        month = next_month - datetime(local.year, local.month, 1)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        place = {
            "hour": (local.replace(tzinfo=None) - midnight) / timedelta(days=1),
            "weekday": local.weekday() / 7,
            "month_day": (local.day - 1) / month.days,
            "month": (local.month - 1) / 12,
            "year_day": (local.timetuple().tm_yday - 1) / year.days,
        }[part]
        columns += [np.sin(2 * np.pi * place), np.cos(2 * np.pi * place)]
    columns = [0.0] * len(columns) if missing else columns
    if learned["missing"]:
        columns.append(float(missing))
    for name, own in learned["gaps"].items():
        there = not missing and others[name] is not None
        gap = days(time) - days(moment(others[name], learned["zone"])) if there else None
        columns += numbers_of(gap, own)
    return columns


def fed(path, described):
    """The inputs of a model for the rows of a CSV file."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = {
        name: [None if row[name].strip() in described["empty"] else row[name] for row in rows]
        for name in rows[0]
    }
    numbers, categories = [], []
    for learned in described["preprocessing"].values():
        column = learned["column"]
        own = cells[column]
        if learned["type"] == "category":
            texts = texts_of_cells(own, column in described["texts"])
            places = {value: place + 2 for place, value in enumerate(learned["values"])}
            categories.append([1 if t is None else places.get(t, 0) for t in texts])
        elif learned["type"] == "time":
            others = [{name: cells[name][i] for name in learned["gaps"]} for i in range(len(own))]
            numbers += zip(*map(times_of, own, others, [learned] * len(own)), strict=True)
        else:
            read = [None if cell is None else number(cell.strip()) for cell in own]
            numbers += zip(*(numbers_of(each, learned) for each in read), strict=True)
    return {
        "numbers": np.array(numbers, np.float32).T,
        "categories": np.array(categories, np.int64).T,
    }


def write(path, count, seed, *, new=False):
    """Rows of all kinds; new ones have values that training did not have."""
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        columns = ("age", "size", "code", "color", "grade", "big", "flag", "at", "since", "y")
        writer.writerow(columns)
        for row in range(count):
            x = rng.normal(size=2)
            at = start + timedelta(hours=float(rng.integers(0, 9000)), seconds=row)
            writer.writerow(
                [
                    "" if row % 9 == 0 else round(x[0], 3),
                    round(x[1] * 40, 2),
                    f"00{rng.integers(1, 4)}" if row % 11 else "A1",
                    ("pink" if new else "NA") if row % 8 == 0 else rng.choice(["red", "blue"]),
                    (4.5 if new else "") if row % 13 == 0 else rng.integers(1, 4),
                    rng.choice(["true", "false"]),
                    " " if row % 10 == 0 else rng.choice(["true", "false"]),
                    "" if row % 12 == 0 else at.isoformat() + ("+02:00" if row % 2 else ""),
                    (at - timedelta(days=row % 30)).date().isoformat() if row % 7 else "NULL",
                    x.sum(),
                ]
            )
    return path


CONFIG = {
    "inputs": {
        "age": {"type": "number", "scaling": "standard"},
        "size": {"type": "number", "scaling": "piecewise", "bins": 5},
        "code": "category",
        "color": "category",
        "grade": "category",
        "big": "number",
        "flag": "category",
        "at": {
            "type": "time",
            "zone": "Europe/Berlin",
            "parts": ["hour", "trend", "weekday", "month_day", "month", "year_day"],
            "gaps": "since",
        },
    },
    "tasks": {"y": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
    "training": {"epochs": 1, "batch_size": 64, "device": "cpu"},
}


@pytest.mark.parametrize("format", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_csv_file_becomes_inputs_without_motet(format, tmp_path):
    seen = write(tmp_path / "seen.csv", 300, 0)
    new = write(tmp_path / "new.csv", 100, 1, new=True)
    run = motet.train(CONFIG, data=str(seen), output=tmp_path / "run")
    exported = run.export(format, rows=str(new))
    described = json.loads(exported.files[1].read_text())
    found = fed(new, described)
    widths = {each["name"]: each["shape"][1] for each in described["inputs"]}
    expected = run.preprocess(str(new))
    for name, values in found.items():
        assert values.shape == (100, widths[name])
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)
    assert {0, 1, 2} <= {*found["categories"].ravel().tolist()}
    if format == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(exported.path)
        (y,) = session.run(["y"], found)
        np.testing.assert_allclose(y, run.predict(str(new))["y"].to_numpy(), rtol=1e-4, atol=1e-4)
