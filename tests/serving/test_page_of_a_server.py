"""The page of a server, tried in a browser: fields, predictions, mistakes, narrow and dark."""

import os
from pathlib import Path

import pytest
from webdriver import browser, is_there

from motet.serving import create_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_there(), reason="no chromium, or no chromium-driver"),
]


@pytest.fixture
def page(loaded, listening):
    with listening(create_app(loaded)) as address, browser() as page:
        page.open(address)
        page.until("return document.querySelectorAll('#fields label').length == 3")
        yield page


def test_a_row_that_is_typed_in_is_predicted_with_probabilities(page, loaded, tmp_path):
    page.type("[name=age]", "41")
    page.type("[name=income]", "25.5")
    page.type("[name=city]", "Lima")
    page.click("#intervals")
    page.click("#predict")
    page.until("return document.querySelectorAll('article').length == 2")
    row = {"age": [41.0], "income": [25.5], "city": ["Lima"]}
    (found,) = loaded.predict(row, intervals=0.9).to_pylist()
    text = page.run("return document.querySelector('[data-task=churn]').innerText")
    for share in ("churn_probability_no", "churn_probability_yes"):
        assert f"{100 * found[share]:.1f} %" in text
    number = float(page.run("return document.querySelector('[data-task=spend] .value').innerText"))
    assert number == pytest.approx(found["spend"], rel=1e-3)
    assert "low" in page.run("return document.querySelector('[data-task=spend]').innerText")
    assert page.complaints() == []  # the policy blocks nothing that the page needs
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    for width, scheme in ((1200, "light"), (1200, "dark"), (380, "light"), (380, "dark")):
        page.show_as(width, 1000, scheme)
        page.screenshot(folder / f"serving-{width}-{scheme}.png")
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_mistake_is_shown_at_its_field_and_tasks_can_be_chosen(page):
    page.type("[name=age]", "old")
    page.click("#predict")
    assert "age" in page.until("return document.querySelector('.wrong')?.innerText")
    assert page.run("return document.querySelector('[name=age]').ariaInvalid") == "true"
    page.run("document.querySelector('[name=age]').value = ''")
    page.click("[name=task][value=churn]")
    page.click("#predict")
    page.until("return document.querySelectorAll('article').length == 1")
    assert page.run("return document.querySelector('article').dataset.task") == "spend"
