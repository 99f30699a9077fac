"""Predictions and refusals as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from motet.run.predictions import row_texts


def predictions(found: pa.Table) -> str:
    """Return the answer with predictions: an object for each row, as `motet predict` writes it."""
    return f'{{"predictions": [{", ".join(row_texts(found))}]}}'


def problems(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the answer that lists the problems of a request."""
    return json.dumps({"errors": list(found)}, ensure_ascii=True)
