"""Estimators for scikit-learn: one model for several targets, in pipelines and searches."""

from motet.estimator.estimators import MultiTaskClassifier, MultiTaskEstimator, MultiTaskRegressor

__all__ = ["MultiTaskClassifier", "MultiTaskEstimator", "MultiTaskRegressor"]
