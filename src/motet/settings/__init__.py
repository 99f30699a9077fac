"""Settings that depend on the data: the one place that chooses them, each with its reason.

`Facts` describe the data, the table `RULES` has a function for each key, and `resolve` applies them
to a config before anything is built. `motet.Trainer` asks `budget` alone, as it has no config.
Needs no torch.
"""

from motet.settings.facts import Case, Facts, InputFacts, Setting
from motet.settings.resolving import Choice, resolve
from motet.settings.rules import RULES, Rule

__all__ = ["RULES", "Case", "Choice", "Facts", "InputFacts", "Rule", "Setting", "resolve"]
