"""Points in time: their cycles, trend and gaps, in every way that they are written."""

import datetime as dt
import json
import math

import numpy as np
import pyarrow as pa
import pytest

from motet.data.inputs.time import Time
from motet.problems import InputError

TRAINING = ["2026-01-01T06:00", "2026-01-31T18:00", "2026-07-02T00:00"]


def fitted(data, /, **options):
    time = Time("t", **options)
    time.observe(pa.table(data) if isinstance(data, dict) else pa.table({"t": data}))
    time.finish()
    return time


def applied(time, values):
    return time.apply(pa.table({"t": values}))[0]["numbers"]


def wave(place):
    return [math.sin(2 * math.pi * place), math.cos(2 * math.pi * place)]


def test_cycles_are_where_a_time_is_in_its_day_week_month_and_year():
    parts = ["hour", "weekday", "month_day", "year_day", "month"]
    time = fitted(TRAINING, parts=parts)
    (found,) = applied(time, ["2024-03-01T18:30:00"])  # a Friday of a leap year, its 61st day
    expected = [*wave(18.5 / 24), *wave(4 / 7), *wave(0), *wave(60 / 366), *wave(2 / 12)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    ends = [f"t_{part}_{end}" for part in parts for end in ("sin", "cos")]
    assert list(time.shape().names) == ends


def test_the_last_minute_of_a_day_is_next_to_the_first():
    time = fitted(TRAINING, parts=["hour"])
    last, first, noon = applied(time, ["2026-05-05T23:59", "2026-05-06", "2026-05-06T12:00"])
    assert np.linalg.norm(last - first) < 0.01 < 1.9 < np.linalg.norm(noon - first)


def test_the_trend_is_from_the_first_to_the_last_and_held_beyond_the_training_rows_which_is_noted():
    time = fitted(["2026-01-01", "2026-01-03"], parts=["trend"])
    rows = pa.table({"t": ["2026-01-01", "2026-01-02", "2026-01-03", "2030-01-01", "1999-01-01"]})
    columns, notes = time.apply(rows)
    assert columns["numbers"].tolist() == [[-1], [0], [1], [1], [-1]]
    assert {finding.what: count for finding, count in notes.counts.items() if count} == {
        "are earlier or later than all training rows; their trend is that of the nearest one": 2
    }


INSTANT = dt.datetime(2026, 1, 31, 11, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (pa.array([INSTANT]), None),
        (pa.array([INSTANT], pa.timestamp("ns", "America/New_York")), None),
        (pa.array([INSTANT], pa.timestamp("s", "UTC")), None),
        (pa.array(["2026-01-31T11:30:00Z"]), None),
        (pa.array(["2026-01-31 13:30+02:00"]), None),
        (pa.array([" 2026-01-31T12:30:00.000 "]), None),  # by the clocks of the zone
        (pa.array([dt.datetime(2026, 1, 31, 12, 30)]), None),
        (pa.array([int(INSTANT.timestamp())]), "s"),
        (pa.array([INSTANT.timestamp() * 1e3]), "ms"),
        (pa.array([int(INSTANT.timestamp() * 1e9)]), "ns"),
        (pa.array([INSTANT.timestamp() / 86_400]), "d"),
    ],
)
def test_an_instant_is_the_same_in_whatever_way_it_is_written(values, unit):
    training = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), INSTANT + dt.timedelta(days=9)]
    time = fitted(pa.array(training), zone="Europe/Berlin", parts=["hour", "trend"])
    expected = applied(time, pa.array([INSTANT]))
    np.testing.assert_allclose(expected[0, :2], wave(12.5 / 24), atol=1e-6)  # an hour ahead of UTC
    state = {**time.state(), "unit": unit}
    time.load(json.loads(json.dumps(state)))
    np.testing.assert_allclose(applied(time, values), expected, atol=1e-6)


def test_dates_have_no_hour_unless_it_is_asked_for():
    dates = pa.array([dt.date(2026, 1, 1), dt.date(2026, 5, 5)])
    assert not any("hour" in name for name in fitted(dates).shape().names)
    assert any("hour" in name for name in fitted(dates, parts=["hour"]).shape().names)
    assert fitted(TRAINING).shape().names[:2] == ("t_hour_sin", "t_hour_cos")


def test_gaps_are_days_since_other_times():
    table = pa.table(
        {
            "t": ["2026-01-11", "2026-01-02", "2026-01-01", None],
            "since": ["2026-01-01", "2026-01-01", "2026-01-02", "2026-01-01"],
            "count": [20_454.0, None, 20_454.0, 20_454.0],  # 2026-01-01
        }
    )
    time = fitted(
        {name: table[name] for name in table.column_names},
        gaps=["since", "count"],
        gap_unit=None,
        unit="d",
        parts=["trend"],
    )
    shape = time.shape()
    assert shape.names == (
        "t_trend",
        "t_missing",
        "t_since_since",
        "t_since_since_missing",
        "t_since_count",
        "t_since_count_missing",
    )
    assert shape.numbers[1].marks == 1
    found = time.apply(table)[0]["numbers"]
    assert found[:, 3].tolist() == [0, 0, 0, 1]
    assert found[:, 5].tolist() == [0, 1, 0, 1]
    assert found[0, 2] > found[1, 2] > found[2, 2]  # 10, 1 and -1 days
    assert shape.expansions[2] is not None


def test_a_missing_time_is_zeros_and_marked_if_training_had_some():
    marked, unmarked = fitted([*TRAINING, None]), fitted(TRAINING)
    assert applied(marked, pa.array([None], pa.string())).tolist() == [[0.0] * 7 + [1.0]]
    columns, notes = unmarked.apply(pa.table({"t": pa.array(["NA"])}))
    assert columns["numbers"].tolist() == [[0.0] * 7]
    assert sum(notes.counts.values()) == 1


WITH_NUMBERS = {"t": ["2026-01-01", "2026-01-02"], "u": [1.7e9, 1.8e9]}


def test_the_unit_is_that_of_gaps_too_unless_they_have_their_own():
    alike = fitted(WITH_NUMBERS, gaps="u", gap_unit="s")
    assert fitted(WITH_NUMBERS, gaps="u", unit="s").shape() == alike.shape()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0, 2.0], {}, "holds numbers; give the unit"),
        (["2026-01-01", "yesterday"], {}, r"'yesterday' in row 1, expected a date"),
        (["2026-01-01", "2026-13-01"], {}, "'2026-13-01' in row 1"),
        ([True], {}, "holds truth values, expected dates"),
        ([1e18], {"unit": "d"}, "outside of the years 1 to 9999 in row 0"),
        ([float("inf")], {"unit": "s"}, "infinite"),
        (pa.array([None], pa.string()), {}, "no value in the 1 training rows"),
        ([1.0], {"zone": "Berlin"}, "expected the name of a time zone"),
        ([1.0], {"parts": ["hour", "hour"]}, "each once"),
        ([1.0], {"parts": ["hours"]}, "did you mean 'hour'"),
        ([1.0], {"gaps": "t"}, "the time itself"),
        ([1.0], {"gap_unit": "s"}, "applies only with gaps"),
        ([1.0], {"gaps": ["u", "u"]}, "gaps: found .*each once"),
        (WITH_NUMBERS, {"gaps": "u"}, r"gap_unit: column 'u' holds numbers.*such as gap_unit: s"),
        ({"t": ["2026-01-01"], "u": [1e18]}, {"gaps": "u", "gap_unit": "d"}, "correct gap_unit"),
        (TRAINING, {"unit": "s"}, "unit: applies only to numbers, of which there are none in 't'"),
        (
            {"t": ["2026-01-01"], "u": ["2025-01-01"]},
            {"gaps": "u", "gap_unit": "s"},
            "gap_unit: applies only to numbers, of which there are none in 'u'",
        ),
        (TRAINING, {"gaps": "tt"}, "no column 'tt'"),
    ],
)
def test_what_cannot_be_read_is_explained(values, options, message):
    with pytest.raises(InputError, match=message):
        fitted(values, **options)


def test_a_model_without_data_needs_the_parts():
    with pytest.raises(InputError, match="give them, for example parts"):
        Time("t").declared()
    assert Time("t", parts=["hour", "trend"], gaps="u").declared().names == (
        "t_hour_sin",
        "t_hour_cos",
        "t_trend",
        "t_since_u",
    )
