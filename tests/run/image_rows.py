"""Runs on folders with tables that name files of images."""

import motet
from tests.run.stopped_runs import same_weights, stopped


def config_of(base, folder, file="rows.csv", **sections):
    """A config on a table of a folder, with other sections."""
    return {**base, "data": {"source": str(folder / file)}, **sections}


def resumes_exactly(base, folder, whole, output):
    """Whether a run on the table that is stopped in the middle ends as one that was not."""
    parts = stopped(config_of(base, folder), output, step=6)
    return same_weights(whole, motet.resume(parts))


def resumes_exactly_from_a_stream(base, folder, output):
    """The same on the Parquet file, read as a stream."""
    data = {"source": str(folder / "rows.parquet"), "stream": True}
    config = {**base, "data": data}
    whole = motet.train(config, output=output / "whole")
    return same_weights(whole, motet.resume(stopped(config, output / "parts", step=6)))
