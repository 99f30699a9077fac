"""Random configs: a good one in which keys are left out, misspelt or added, and values replaced."""

from copy import deepcopy

import yaml
from hypothesis import strategies as st

GOOD = {
    "data": {"source": "rows.csv", "split": {"validation": 0.2, "test": 0.2, "stratify": "c"}},
    "inputs": {
        "a": {"type": "number", "scaling": "quantile"},
        "b": "number",
        "e": {"type": "category", "size": 4},
    },
    "tasks": {
        "c": {
            "type": "classification",
            "classes": 3,
            "label_smoothing": 0.1,
            "head": {"hidden": [3]},
        },
        "d": {
            "type": "regression",
            "outputs": 1,
            "loss": "huber",
            "delta": 2.0,
            "column": "a2",
            "main": True,
        },
    },
    "model": {"encoder": {"type": "mlp", "hidden": [4], "dropout": 0.0}, "sharing": "hard"},
    "balancing": {"type": "uncertainty", "form": "revised"},
    "training": {
        "epochs": 1,
        "batch_size": 16,
        "optimizer": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.5},
        "lr_schedule": {"type": "step", "factor": 0.5},
        "monitor": "loss",
        "early_stopping": {"patience": 2},
        "device": "cpu",
    },
}
ROWS = "\n".join(
    ["a,b,c,a2,e", *(f"{n % 5},{n / 3},{n % 3},{n * n % 7},{n % 4}" for n in range(30))]
)
"""Content of the file that the good config names."""

VALUES = st.text(max_size=4) | st.sampled_from(
    [
        *(None, True, 0, -1, 1, 10**30, 0.5, 1e300, float("nan"), float("inf"), "1e5"),
        *("", "a", "c", "auto", "mlp", "hard", "adamw", "equal"),
        *([], [1], ["a"], [[]], {}, {"type": "mlp"}, {"type": None}, {1: 2}),
    ]
)
SIGNS = [":", "- ", "{", "}", "\t", "\n", "'", "*x", "&x ", "#", "? ", "!!x ", "é", "\0"]


def places(config, key=()):
    """Every path to a key of nested mappings."""
    for name, value in config.items():
        yield (*key, name)
        if isinstance(value, dict):
            yield from places(value, (*key, name))


@st.composite
def configs(draw):
    """The good config after one to three edits."""
    config = deepcopy(GOOD)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        known = list(places(config))
        if not known:
            break
        *outer, name = draw(st.sampled_from(known))
        here = config
        for part in outer:
            here = here[part]
        edit = draw(st.sampled_from(["delete", "delete", "replace", "replace", "misspell", "add"]))
        if edit == "replace":
            here[name] = deepcopy(draw(VALUES))
        elif edit == "add":
            here[draw(st.sampled_from(["type", "weight", "x", "", 7]))] = deepcopy(draw(VALUES))
        elif edit == "delete":
            del here[name]
        else:
            word, place = str(name), draw(st.integers(0, len(str(name))))
            here[word[:place] + draw(st.sampled_from("xe_ ")) + word[place + 1 :]] = here.pop(name)
    return config


@st.composite
def texts(draw):
    """Such a config as YAML, sometimes with a sign in a wrong place."""
    text = yaml.safe_dump(draw(configs()), sort_keys=False, allow_unicode=True)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(text)))
        sign = draw(st.sampled_from(SIGNS))
        text = text[:place] + sign + text[place + draw(st.integers(0, 2)) :]
    return text
