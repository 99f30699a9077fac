"""Pages as files: complete, small, and safe whatever tasks are called."""

import json
import math
import re
from copy import deepcopy
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import report_facts
from quick_cases import others_slow

from motet.report.elements import Table, as_json
from motet.report.marks import curves
from motet.report.page import comparison_page, run_page, runs_page
from motet.report.rows.precision import Counts, precision_table
from motet.report.short_names import short

EMPTY = {"meta", "link", "input", "br"}


class Reader(HTMLParser):
    """Collects elements, and refuses a page whose elements do not end where they should."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["script"]:
            self.texts.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def of_two():
    return run_page(report_facts.run(2))


def test_names_that_are_html_are_texts(of_two):
    reader = read(of_two)
    assert sum(tag == "script" for tag, _ in reader.elements) == 2 + of_two.count("<figure ")
    assert any(report_facts.NASTY in text for text in reader.texts)


def test_a_page_asks_for_nothing_from_outside(of_two):
    for tag, attributes in read(of_two).elements:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith(("#", "data:")), tag


def test_every_figure_has_a_text_and_a_table(of_two):
    reader = read(of_two)
    plots = [attrs for tag, attrs in reader.elements if attrs.get("class") == "plot"]
    assert len(plots) > 15
    assert all(re.search(r"\. .+\.$", each["aria-label"], re.DOTALL) for each in plots)
    figures = of_two.split("<figure ")[1:]
    assert all("<table>" in each.split("</figure>")[0] for each in figures)


def test_figures_are_strict_json(of_two):
    found = re.findall(r'<script type="application/json">(.*?)</script>', of_two)

    def refuse(text):
        raise AssertionError(text)

    assert all(json.loads(each, parse_constant=refuse)["data"] for each in found)


@pytest.mark.parametrize("tasks", others_slow([24], [24, 128]))
def test_a_page_on_many_tasks_stays_small_and_offers_a_choice(tasks):
    page = run_page(report_facts.run(tasks))
    assert len(page.encode()) < 1_940_000 + 20_000 * tasks
    boxes = [a for t, a in read(page).elements if t == "input" and a.get("type") == "checkbox"]
    assert len(boxes) == tasks
    assert sum("checked" in each for each in boxes) == 8


def test_a_run_that_has_just_begun_has_a_page():
    facts = report_facts.RunFacts("run-001", "runs/run-001", report_facts.run(2).tasks)
    assert "no evaluation yet" in run_page(facts)


def test_a_page_claims_nothing_of_test_rows_and_weights_that_are_not_there():
    run = report_facts.run(2)
    tasks = {name: replace(task, test=()) for name, task in run.tasks.items()}
    assert "On test rows." in run_page(run)
    assert "On test rows." not in run_page(replace(run, tasks=tasks))
    steps = deepcopy(run.steps)
    for values in (each for record in steps for each in record["tasks"].values()):
        values["weight"] = None
    run_page(replace(run, steps=steps))
    for values in (each for record in steps for each in record["tasks"].values()):
        del values["weight"]
    page = run_page(replace(run, steps=steps))
    assert "The balancer has no weights" in page
    assert "Shares of the weighted loss" not in page


def test_several_runs_are_side_by_side():
    page = runs_page([report_facts.run(2, f"run-{place}", place) for place in range(3)])
    read(page)
    assert "The highest mean score is" in page
    assert "Summary" in page


def test_a_comparison_shows_intervals_and_verdicts():
    page = comparison_page("compare-001", report_facts.comparison(4))
    assert any("helps" in text for text in read(page).texts)
    assert "error_x" in page


def test_a_suggestion_is_shown_with_its_reasons_and_its_tests():
    found = report_facts.comparison(4) | {"suggestion": report_facts.suggestion(4, alone=1)}
    tasks, texts = report_facts.names(4), read(comparison_page("compare-001", found)).texts
    text = " ".join(texts)
    assert f"<pcgrad> for {', '.join(tasks[:3])}; single-task models for {tasks[3]}." in text
    assert "validation rows of the models of all tasks: <pcgrad> 0.6500, equal 0.6000." in text
    assert f"worse than single-task models by more than half the margin on {tasks[3]}" in text
    assert "tested once, on 800 test rows" in text
    metric = found["metrics"][tasks[0]]["name"]
    verdict = f"not worse than single-task by more than 0.01000 {metric} at error rate 5 %"
    assert [texts.count(each) for each in (verdict, "cannot tell with these rows")] == [2, 1]
    assert texts.count("it is the single-task model") == 1


def test_a_suggestion_of_single_task_models_is_shown_without_tests():
    found = report_facts.comparison(4) | {"suggestion": report_facts.suggestion(4, alone=4)}
    text = " ".join(read(comparison_page("compare-001", found)).texts)
    assert "single-task models for all tasks." in text
    assert "tested once" not in text


def test_numbers_that_json_lacks_become_null():
    assert as_json([math.nan, math.inf, 1 / 3]) == "[null,null,0.333333]"


def test_labels_that_a_table_leaves_out_are_counted():
    counts = {f"label {number}": Counts(number, 1, 1) for number in range(43)}
    assert precision_table("label", counts).rows[-1][:2] == ("(and 3 rarer ones)", 0 + 1 + 2)


def test_short_names_differ():
    names = [f"the same beginning {place:03d} and the same end of all" for place in range(50)]
    found = short(names)
    assert len(set(found.values())) == 50
    assert max(map(len, found.values())) <= 24


def test_short_names_keep_what_is_different():
    found = short(
        [f"probability_of_a_purchase_within_{days}_days_of_the_visit" for days in (7, 30)]
    )
    assert list(found.values()) == ["probability_of…7_days…", "probability_of…30_days…"]
    names = {
        (kind, days): f"customers_of_segment_{kind}_pay_within_{days}_days_of_the_first_bill"
        for kind in "AB"
        for days in ("7", "30")
    }
    of_names = short(names.values())
    for (kind, days), name in names.items():
        assert f"{kind}_" in of_names[name]
        assert f"{days}_days" in of_names[name]


def test_names_in_a_legend_are_not_the_same():
    names = [f"probability_of_a_purchase_within_{days}_days_of_the_first_visit" for days in (7, 30)]
    drawn = curves("", {name: ([1], [0.5]) for name in names}, x="", y="", text="")
    assert len({trace["name"] for trace in drawn.traces}) == 2


def test_cells_of_a_table_are_escaped():
    assert "<b>" not in Table(("<b>",), [("<b>",)], ("<b>",)).html()


def test_a_comparison_of_30_tasks_begins_with_those_that_lost_most():
    results = report_facts.comparison(30)
    own = results["methods"]["equal"]["tasks"]
    results["methods"]["equal"]["tasks"] = own | {
        "task number 17": own["task number 17"] | {"delta": -9}
    }
    boxes = [
        a for t, a in read(comparison_page("c", results)).elements if a.get("type") == "checkbox"
    ]
    chosen = [each["value"] for each in boxes if "checked" in each]
    assert len(chosen) == 8
    assert "task number 17" in chosen
