"""Where and with what a run was made: versions, config, model card."""

from motet.report.elements import Element, Preformatted, Section, Table, Titled
from motet.report.facts import RunFacts

_LEFT = ("packages", "data", "sources", "digest")


def environment(run: RunFacts) -> Section:
    """Return the last section."""
    rows = [(key, str(value)) for key, value in run.environment.items() if key not in _LEFT]
    rows += list(run.environment.get("packages", {}).items())
    parts: list[Element] = [Titled("Versions", Table(("", ""), [("folder", run.path), *rows]))]
    if run.config:
        parts.append(Preformatted("Config, every default spelled out", run.config))
    if run.card:
        parts.append(Preformatted("Model card", run.card))
    return Section("Environment", parts)
