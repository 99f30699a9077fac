"""Pages: sections as one HTML file, with styles, scripts and plotly.js inside."""

import gzip
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from motet.report.balancing import balancing
from motet.report.comparison import comparison, lowest_changes
from motet.report.conflicts import conflicts
from motet.report.data import data
from motet.report.earlier import earlier
from motet.report.elements import Section, as_json
from motet.report.environment import environment
from motet.report.facts import RunFacts
from motet.report.groups import groups
from motet.report.learning import learning
from motet.report.results import results
from motet.report.several import several
from motet.report.structure import structure
from motet.report.summary import summary
from motet.version import __version__

MANY = 8
"""Tasks above which a page begins with some of them chosen."""


def run_page(run: RunFacts) -> str:
    """Return the page about one run."""
    found = [
        summary(run),
        data(run),
        learning(run),
        balancing(run),
        conflicts(run),
        groups(run),
        structure(run),
        results(run),
        earlier(run),
        environment(run),
    ]
    sections = [section for section in found if section is not None]
    return page(run.name, sections, run.scores)


def runs_page(runs: Sequence[RunFacts]) -> str:
    """Return the page about several runs."""
    scores: dict[str, float | None] = {}
    for run in runs:
        scores |= {task: score for task, score in run.scores.items() if task not in scores}
    return page(", ".join(run.name for run in runs), several(runs), scores)


def folds_page(whole: RunFacts, folds: Sequence[RunFacts]) -> str:
    """Return the page about a run of folds.

    Args:
        whole: The run, with the predictions of each row by the model that did not see it.
        folds: The run of each fold.

    Returns:
        HTML.
    """
    first, curves, _ = several(folds)
    found = [
        summary(whole),
        Section("Folds", first.parts),
        curves,
        results(whole),
        environment(whole),
    ]
    sections = [section for section in found if section is not None]
    return page(whole.name, sections, whole.scores)


def comparison_page(name: str, found: Mapping[str, Any]) -> str:
    """Return the page about a comparison, from the content of its ``results.json``."""
    return page(name, comparison(found), lowest_changes(found))


def page(title: str, sections: Sequence[Section], scores: Mapping[str, float | None]) -> str:
    """Return a page.

    Args:
        title: Its title.
        sections: What it shows.
        scores: A number for each task that users may choose; of many, those with the lowest ones
            are chosen at first.

    Returns:
        HTML.
    """
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        version=escape(__version__),
        style=_asset("report.css"),
        menu="".join(f'<a href="#{escape(each.id)}">{escape(each.title)}</a>' for each in sections),
        picker=_picker(scores) if len(scores) > MANY else "",
        sections="\n".join(section.html() for section in sections),
        plotly=plotly_script(),
        script=_asset("report.js"),
    )


def _picker(scores: Mapping[str, float | None]) -> str:
    order = sorted(scores, key=lambda task: (scores[task] is None, scores[task]))
    chosen = set(order[:MANY])
    boxes = "".join(
        f'<label><input type="checkbox" value="{escape(task)}"'
        f"{' checked' if task in chosen else ''}> {escape(task)}</label>"
        for task in scores
    )
    presets = as_json({"lowest": order[:MANY], "all": list(scores)})
    return Template(_asset("picker.html")).substitute(
        count=len(scores), many=MANY, boxes=boxes, presets=presets
    )


def _asset(name: str) -> str:
    return files("motet.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def plotly_script() -> str:
    """Return plotly.js of the installed package, compressed to 40 % of its size, as base64."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return b64encode(gzip.compress(script, 6, mtime=0)).decode()
