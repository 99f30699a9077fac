"""Whatever is thrown at it: a run that can start, or an error that says what to do.

Random tables, files and configs go through `motet.run.check`; tables that pass are trained on for
an epoch and predicted for. Nothing but an `InputError` or a `TrainingError` may come out. Each test
prints how many cases it tried and how they ended; ``-m slow`` tries 80 times as many.
"""

import re
import shutil
from collections import Counter

import pytest
from fuzz_configs import ROWS, texts
from fuzz_files import files
from fuzz_tables import TINY, runs
from hypothesis import HealthCheck, given, seed, settings

from motet.problems import InputError
from motet.run import check, initial_config, load, train
from motet.training import TrainingError

REMEDY = re.compile(
    "expected|did you mean|known:|columns:|required|correct|remove|rename|leave|write|use |give |"
    "name |choose|check|save|turn |set |try |keep |enable "
)


def outcome(action):
    """Carry out an action; return its result, or None if it was refused as it should be."""
    try:
        return action()
    except (InputError, TrainingError) as error:
        message = str(error)
    assert REMEDY.search(message), f"says not what to do: {message}"
    assert "pydantic" not in message
    return None


def train_and_predict(run, folder):
    config, table, later = run
    if outcome(lambda: check(config, data=table)) is None:
        return "refused"
    trained = outcome(lambda: train(config, data=table, output=folder))
    if trained is None:
        return "refused in training"
    assert outcome(lambda: trained.predict(table)).num_rows == len(next(iter(table.values())))
    predicted = outcome(lambda: load(folder).predict(later))
    outcome(lambda: trained.evaluate(later))
    return "trained" if predicted is not None else "trained, later rows refused"


def read_and_begin(file, folder):
    suffix, content = file
    folder.mkdir()
    path = folder / f"rows.{suffix}"
    path.write_bytes(content)
    config = {"data": {"source": str(path)}, "tasks": {"c": "classification"}, **TINY}
    prepared = outcome(lambda: check(config))
    text = outcome(lambda: initial_config(str(path), ["c"]))
    if text is None:
        return "refused"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    begun = outcome(lambda: check(folder / "config.yaml"))
    return "prepared" if prepared and begun else "refused"


def check_text(text, folder):
    folder.mkdir()
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
    return "prepared" if outcome(lambda: check(folder / "config.yaml")) else "refused"


BATCHES = 5
"""Independent draws of the cases: within one draw they resemble each other."""
FUZZ = {
    "tables": (runs(), train_and_predict, "trained"),
    "files": (files(), read_and_begin, "prepared"),
    "configs": (texts(), check_text, "prepared"),
}


@pytest.mark.parametrize(
    "cases",
    [pytest.param(60, id="few"), pytest.param(5000, id="many", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("kind", FUZZ)
@pytest.mark.filterwarnings("ignore:monitor is ", "ignore:the run was trained on")
def test_anything_works_or_is_refused_with_a_remedy(kind, cases, tmp_path, capsys):
    strategy, action, good = FUZZ[kind]
    tally = Counter()

    @settings(max_examples=cases // BATCHES, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def holds(case):
        folder = tmp_path / str(sum(tally.values()))
        tally[action(case, folder)] += 1
        shutil.rmtree(folder, ignore_errors=True)

    for batch in range(BATCHES):
        seed(batch)(holds)()
    with capsys.disabled():
        ends = ", ".join(f"{count:,} {each}" for each, count in tally.most_common())
        print(f"\n{sum(tally.values()):,} {kind}: {ends}")
    assert sum(tally.values()) >= cases
    assert tally[good] >= cases / 50, "too few cases go all the way to test much"
