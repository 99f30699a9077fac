"""Estimators in scikit-learn's own tools, with labels in every form."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from motet import MultiTaskClassifier, MultiTaskEstimator, MultiTaskRegressor
from motet.config import ConfigError
from motet.problems import InputError

SMALL = {"encoder": {"type": "mlp", "hidden": [16]}, "learning_rate": 1e-2, "device": "cpu"}
rng = np.random.default_rng(0)
X = rng.normal(size=(160, 3))
SIDE = np.where(X[:, 0] > 0, "right", "left")
Y = np.column_stack([X[:, 0] > 0, X[:, 1] > 0]).astype(int)
KINDS = {"side": "classification", "sum": "regression"}
LABELS = {"side": SIDE, "sum": X.sum(1)}


@pytest.fixture(scope="module")
def mixed():
    return MultiTaskEstimator(KINDS, epochs=30, **SMALL).fit(X, LABELS)


def test_classes_and_numbers_by_task(mixed):
    found = mixed.predict(X)
    assert found.keys() == LABELS.keys()
    assert np.mean(found["side"] == SIDE) > 0.9
    assert np.corrcoef(found["sum"], LABELS["sum"])[0, 1] > 0.9
    assert mixed.score(X, LABELS) > 0.8
    assert_array_equal(mixed.classes_["side"], ["left", "right"])
    chances = mixed.predict_proba(X)
    assert chances["sum"] is None
    assert_array_equal(mixed.classes_["side"][chances["side"].argmax(1)], found["side"])
    assert mixed.run_.model.active_tasks == ("side", "sum")


def test_a_copy_by_pickle_predicts_the_same(mixed):
    copy = pickle.loads(pickle.dumps(mixed))
    for task, values in mixed.predict(X).items():
        assert_array_equal(copy.predict(X)[task], values)


def test_predictions_have_the_form_of_the_labels():
    short = {**SMALL, "epochs": 2}
    assert MultiTaskClassifier(**short).fit(X, Y).predict(X).shape == (160, 2)
    assert MultiTaskRegressor(**short).fit(X, X[:, 0]).predict(X).shape == (160,)
    frame = pd.DataFrame(X[:, :2], index=range(100, 260))
    labels = pd.DataFrame({"a": X[:, 2], "b": X[:, 0]}, index=frame.index)
    found = MultiTaskRegressor(**short).fit(frame, labels).predict(frame)
    assert list(found.columns) == ["a", "b"]
    assert found.index.equals(frame.index)


def test_probabilities_of_an_array_are_a_list():
    model = MultiTaskClassifier(**SMALL, epochs=2).fit(X, Y)
    assert [each.shape for each in model.predict_proba(X)] == [(160, 2), (160, 2)]
    assert [list(each) for each in model.classes_] == [[0, 1], [0, 1]]
    assert not hasattr(MultiTaskRegressor(), "predict_proba")
    assert not hasattr(MultiTaskEstimator({"y": "regression"}), "predict_proba")


def test_missing_labels_and_numbers_are_left_out(mixed):
    rows, labels = X.copy(), {"side": SIDE.astype(object), "sum": LABELS["sum"].copy()}
    rows[::7, 1], labels["side"][::2], labels["sum"][1::2] = np.nan, None, np.nan
    model = clone(mixed).fit(rows, labels)
    assert np.mean(model.predict(X)["side"] == SIDE) > 0.85
    gaps = np.where(rng.random(Y.shape) < 0.3, np.nan, Y)
    model = MultiTaskClassifier(**SMALL, epochs=20).fit(X, gaps)
    assert np.mean(model.predict(X) == Y) > 0.85
    assert model.score(X, gaps) > 0.85


def test_frames_of_any_columns():
    frame = pd.DataFrame({"number": X[:, 0], "kind": np.where(X[:, 1] > 0, "u", "v")})
    model = MultiTaskClassifier(**SMALL, epochs=20).fit(frame, Y)
    assert np.mean(model.predict(frame) == Y) > 0.9
    assert list(model.feature_names_in_) == ["number", "kind"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"kind": "sort"}))


def test_columns_with_numbers_as_names_have_inferred_types():
    frame = pd.DataFrame({0: X[:, 0], 1: np.where(X[:, 1] > 0, "u", "v")})
    model = MultiTaskClassifier(**SMALL, epochs=20).fit(frame, Y)
    assert np.mean(model.predict(frame) == Y) > 0.9


def test_frames_of_polars_and_arrow():
    frame = pl.DataFrame({"number": X[:, 0], "sign": X[:, 1] > 0})
    labels = pl.DataFrame({"a": SIDE, "b": Y[:, 1]})
    found = MultiTaskClassifier(**SMALL, epochs=2).fit(frame, labels).predict(frame)
    assert isinstance(found, pl.DataFrame)
    assert found.columns == ["a", "b"]
    table = frame.to_arrow()
    assert MultiTaskClassifier(**SMALL, epochs=2).fit(table, SIDE).predict(table).shape == (160,)


def test_missing_labels_of_pandas():
    names, counts = pd.array(SIDE, dtype="string"), pd.array(Y[:, 0], dtype="Int64")
    names[0] = counts[1] = pd.NA
    labels = pd.DataFrame({"side": names, "count": counts})
    kinds = {"side": "classification", "count": "regression"}
    model = MultiTaskEstimator(kinds, **SMALL, epochs=2).fit(X.tolist(), labels)
    assert list(model.classes_[0]) == ["left", "right"]
    assert len(model.predict(X.tolist())) == 160


def test_a_fit_that_failed_leaves_nothing_that_predicts():
    model = MultiTaskClassifier(**SMALL, sharing="hrad")
    with pytest.raises(ConfigError):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(NotFittedError):
        model.score(X, Y)


def test_in_a_pipeline_a_search_and_cross_validation():
    model = make_pipeline(StandardScaler(), MultiTaskClassifier(**SMALL, epochs=4))
    name = "multitaskclassifier"
    grid = {f"{name}__sharing": ["hard", "soft"], f"{name}__balancing": ["equal", "uncertainty"]}
    search = GridSearchCV(model, grid, cv=2).fit(X, Y)
    assert set(search.best_params_) == set(grid)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert cross_val_predict(model, X, Y, cv=2).shape == Y.shape


def test_further_sections_of_a_config_act():
    model = MultiTaskRegressor(**SMALL, epochs=2, config={"training": {"average": "ema"}})
    assert model.fit(X, X[:, :2]).run_.config.training.average == "ema"


def test_mistakes_are_named():
    with pytest.raises(InputError, match="tasks: expected the type of each task"):
        MultiTaskEstimator().fit(X, LABELS)
    with pytest.raises(InputError, match="tasks: expected the type of each task"):
        MultiTaskClassifier(["side"]).fit(X, SIDE)
    with pytest.raises(InputError, match="found regression for 'y', expected classification"):
        MultiTaskClassifier({"y": "regression"}).fit(X, Y[:, 0])
    with pytest.raises(InputError, match="y has no 'sums'; did you mean 'sum'"):
        MultiTaskEstimator({"sums": "regression"}).fit(X, LABELS)
    with pytest.raises(InputError, match="expected as many labels"):
        MultiTaskClassifier().fit(X, Y[:10])
    with pytest.raises(InputError, match=r"expected a column for each of \['a'\]"):
        MultiTaskEstimator({"a": "regression"}).fit(X, X)
    with pytest.raises(ConfigError, match="sharing"):
        MultiTaskClassifier(sharing="hrad").fit(X, Y)
    with pytest.raises(ValueError, match="y contains infinity"):
        MultiTaskRegressor().fit(X, np.full(160, np.inf))
    with pytest.raises(InputError, match="y has no labels of y1"):
        MultiTaskClassifier().fit(X, np.column_stack([Y[:, 0], np.full(160, np.nan)]))
    with pytest.raises(InputError, match=r"y of y0: .*; expected numbers"):
        MultiTaskRegressor().fit(X, SIDE)


@pytest.mark.slow
@parametrize_with_checks(
    [
        MultiTaskClassifier(epochs=40, **SMALL),
        MultiTaskRegressor(epochs=40, **SMALL),
    ]
)
def test_the_checks_of_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_a_random_state_may_be_of_any_kind_that_scikit_learn_has():
    quick = {"epochs": 1, **SMALL}
    for state in (None, np.random.RandomState(3)):
        assert MultiTaskRegressor(random_state=state, **quick).fit(X[:40], X[:40, :2])
    for state in ("a", -1, True):
        with pytest.raises(InputError, match=r"^random_state: found .*expected a whole number"):
            MultiTaskRegressor(random_state=state, **quick).fit(X, X[:, :2])


def test_labels_to_score_must_be_those_of_all_tasks(mixed):
    with pytest.raises(InputError, match="y has no 'sum'; known: side"):
        mixed.score(X, {"side": SIDE})
    with pytest.raises(InputError, match="y has no labels of sum"):
        mixed.score(X, {**LABELS, "sum": np.full(160, np.nan)})
    array = MultiTaskRegressor(**SMALL, epochs=1).fit(X, X[:, :2])
    with pytest.raises(InputError, match=r"y has the shape \(160,\), expected a column for each"):
        array.score(X, X[:, 0])
