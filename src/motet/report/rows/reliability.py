"""Reliability of probabilities: how often what was given so much probability is true."""

import numpy as np
from numpy.typing import NDArray

from motet.figures import figure
from motet.report.elements import Figure, Table, said
from motet.report.facts import Floats

_BINS = 10


def binned(
    probabilities: Floats, true: NDArray[np.bool_], bins: int = _BINS
) -> list[tuple[float, float, int]]:
    """Group probabilities in bins of equal width.

    Args:
        probabilities: (N,).
        true: Whether each event came true, (N,).
        bins: Number of bins.

    Returns:
        Of each bin with rows: mean probability, share that is true, number of rows.

    Example:
        >>> binned(np.array([0.1, 0.9, 0.9]), np.array([False, True, False]), 2)
        [(0.1, 0.0, 1), (0.9, 0.5, 2)]
    """
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, probabilities, bins)
    hits = np.bincount(place, true, bins)
    return [
        (float(sums[each] / counts[each]), float(hits[each] / counts[each]), int(counts[each]))
        for each in range(bins)
        if counts[each]
    ]


def expected_error(found: list[tuple[float, float, int]]) -> float:
    """Return the expected calibration error of bins (Naeini et al., AAAI 2015).

    Args:
        found: Of each bin, the mean probability, the share that is true, and the number of rows.

    Returns:
        The mean distance of the two, weighted by rows.

    Example:
        >>> expected_error([(0.25, 0.0, 1), (0.75, 0.5, 3)])
        0.25
    """
    total = sum(count for *_, count in found)
    return sum(abs(mean - share) * count for mean, share, count in found) / total


def reliability(probabilities: Floats, true: NDArray[np.bool_], x: str, y: str) -> Figure:
    """Draw the share that is true over the probability that was given."""
    found = binned(probabilities, true)
    means, shares, counts = zip(*found, strict=True)
    error = expected_error(found)
    largest = max(counts)
    return Figure(
        "Reliability",
        [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [0, 1],
                "y": [0, 1],
                "hoverinfo": "skip",
                "showlegend": False,
                "meta": {"role": "reference"},
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": means,
                "y": shares,
                "customdata": counts,
                "hovertemplate": "%{x:.2f}: %{y:.2f} of %{customdata:,} rows<extra></extra>",
                "showlegend": False,
                "marker": {"size": [6 + 12 * (count / largest) ** 0.5 for count in counts]},
                "meta": {"role": "series"},
            },
        ],
        f"Expected calibration error {figure(error)} over {len(found)} bins; on the diagonal "
        "probabilities mean what they say.",
        Table((x, y, "rows"), found),
        {
            "xaxis": {"title": {"text": said(x)}, "range": [-0.02, 1.02]},
            "yaxis": {"title": {"text": y}, "range": [-0.02, 1.02]},
        },
    )
