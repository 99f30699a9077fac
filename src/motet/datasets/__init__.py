"""Small real data sets that come with the package, as ``motet://NAME``; see LICENCES.md."""

from pathlib import Path

DEMO = Path(__file__).parent / "demo.yaml"
"""The config that ``motet demo`` trains."""


def adult() -> Path:
    """Census income: 48,842 adults of the United States in 1994.

    Made from the data set "Adult" of the UCI Machine Learning Repository by B. Becker and R. Kohavi
    (1996), DOI 10.24432/C5XW20, under CC BY 4.0. Changed: ``fnlwgt``, ``relationship`` and
    ``marital_status`` are dropped, ``never_married`` (yes, no) is made from the last, and ``split``
    marks UCI's training rows (32,561) and test rows (16,281).

    Natural tasks are ``income`` (24 % earn more than $50,000), ``never_married`` (33 %) and
    ``hours_per_week``. ``race`` and ``sex`` are protected attributes: fine for a benchmark, not for
    decisions about people.

    Returns:
        Path of the Parquet file.
    """
    return Path(__file__).parent / "adult.parquet"


def clothing() -> Path:
    """Reviews of a clothing shop: 5,738 texts with stars, a recommendation and a department.

    Made from "Women's E-Commerce Clothing Reviews" (Nick Brooks, Kaggle, 2018), real and made
    anonymous by its author. Changed: a quarter of the reviews that have a text and a department is
    kept, with seven columns. No item is in two of the splits in ``split``: train, validation, test.

    Natural tasks, from ``title`` and ``text``, are ``recommended`` (yes, no; 82 % are yes),
    ``rating`` (1 to 5 stars), which means nearly the same, and ``department`` (6), which has
    nothing to do with either.

    Returns:
        Path of the Parquet file.
    """
    return Path(__file__).parent / "clothing.parquet"
