"""Pages in a browser: figures are drawn without an error, a request, or light colours at night."""

import pytest
import report_facts
from headless_chromium import BINARY, browser

from motet.report.page import comparison_page, run_page, runs_page

pytestmark = pytest.mark.skipif(BINARY is None, reason="there is no Chromium")

PAGES = {
    "two tasks": lambda: run_page(report_facts.run(2)),
    "30 tasks": lambda: run_page(report_facts.run(30)),
    "two runs": lambda: runs_page([report_facts.run(3, f"run-{n}", n) for n in range(2)]),
    "a comparison": lambda: comparison_page(
        "compare-001", report_facts.comparison(3) | {"suggestion": report_facts.suggestion(3)}
    ),
}
BARE = """[...document.querySelectorAll('.plot')]
    .filter((plot) => plot.offsetParent)
    .filter((plot) => !plot.querySelector('.js-line, .point, .hm image, .heatmaplayer image'))
    .map((plot) => plot.getAttribute('aria-label'))"""
INK = """getComputedStyle(document.querySelector('.plot .xtick text')).fill + ' ' +
    getComputedStyle(document.body).backgroundColor"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def shown(tab, tmp_path):
    def show(page):
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        tab.complaints.clear()
        tab.requests.clear()
        tab.dark(False)
        tab.open(path)
        tab.run("motetReport.drawAll().then(() => true)")
        return tab

    return show


SLOW = ("30 tasks", "two runs")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in PAGES]
)
def test_every_figure_has_marks_and_nothing_is_asked_of_a_network(name, shown):
    tab = shown(PAGES[name]())
    assert tab.run("document.querySelectorAll('.plot svg').length") > 0
    assert tab.run(BARE) == []
    assert tab.complaints == []
    assert {url.split(":")[0] for url in tab.requests} <= {"file", "data"}
    assert sum(url.startswith("file") for url in tab.requests) == 1


def test_figures_follow_the_theme(shown):
    tab = shown(PAGES["two tasks"]())
    light = tab.run(INK)
    tab.dark()
    tab.run("new Promise((done) => setTimeout(done, 300))")
    dark = tab.run(INK)
    assert light == "rgb(29, 34, 41) rgb(255, 255, 255)"
    assert dark == "rgb(230, 233, 237) rgb(21, 24, 28)"


@pytest.mark.slow
def test_choosing_tasks_shows_theirs_alone(shown):
    tab = shown(PAGES["30 tasks"]())
    articles = "[...document.querySelectorAll('article')].filter((each) => !each.hidden).length"
    assert tab.run(articles) == 8
    tab.run("""{
        const search = document.getElementById('search');
        search.value = 'NUMBER 3';
        search.dispatchEvent(new Event('input'));
        document.querySelector('[data-preset=found]').click();
    }""")
    assert tab.run(articles) == 2  # numbers 3 and 30
    assert tab.run("document.getElementById('chosen').value") == "2"
