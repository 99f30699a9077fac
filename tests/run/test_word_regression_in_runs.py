"""Numbers of words in a whole run, beside a task of rows."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import motet
from motet.run.initialising import initialise

RNG = np.random.default_rng(0)
WORDS = ["to", "Rome", "go", "a", "banana"]
TEXTS = [[WORDS[i] for i in RNG.integers(0, 5, RNG.integers(1, 6))] for _ in range(150)]
ROWS = {
    "text": [" ".join(words) for words in TEXTS],
    "time": [[100.0 + 10 * len(word) for word in words] for words in TEXTS],
    "long": [float(len(words)) for words in TEXTS],
}


def test_init_train_and_predict(tmp_path):
    pq.write_table(pa.table(ROWS), tmp_path / "rows.parquet")
    path = tmp_path / "config.yaml"
    initialise(str(tmp_path / "rows.parquet"), ["time", "long"], path)
    text = path.read_text()
    assert "time: {type: word_regression}" in text
    assert "split: spaces" in text
    changes = ["training.epochs=6", "training.optimizer.learning_rate=0.02"]
    run = motet.train(path, overrides=[*changes, "training.batch_size=16"], output=tmp_path / "run")
    found = motet.load(run.path).evaluate(ROWS, split="test")
    assert found["time"]["r2"] > 0.8
    assert set(found["time"]) >= {"r2", "mae", "rmse"}
    predicted = motet.load(run.path / "model").predict({"text": ["go to Rome", "banana"]})
    assert [len(row) for row in predicted["time"].to_pylist()] == [3, 1]
    assert predicted["time"][1].as_py()[0] > predicted["time"][0].as_py()[0]
