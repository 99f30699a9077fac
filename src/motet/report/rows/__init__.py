"""Predictions of test rows beside the truth: one file for each kind of label."""
