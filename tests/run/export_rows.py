"""Rows and configs of every kind of task, input and model that an export is tried with."""

import numpy as np
import pyarrow as pa

WORDS = ["the", "a", "good", "bad", "shoe", "boot", "very", "not", "is", "was", "red", "size"]


def rows(count):
    """Rows with values of all kinds, some of them missing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3))
    seen = x.copy()
    seen[:5, 0] = np.nan
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 14))) for _ in range(count)]
    split = [text.split() for text in texts]
    named = [[word in ("shoe", "boot") for word in words] for words in split]
    scans = rng.integers(0, 256, (count, 8, 8)).astype(np.uint8)
    tags = [
        " ".join(
            "B-x" if here else ("I-x" if before and word in ("is", "was") else "O")
            for word, here, before in zip(words, own, [False, *own[:-1]], strict=True)
        )
        for words, own in zip(split, named, strict=True)
    ]
    return pa.table(
        {
            "x0": seen[:, 0],
            "x1": x[:, 1],
            "x2": x[:, 2],
            "color": pa.array(rng.choice(np.array(["red", "blue", None]), count).tolist()),
            "review": texts,
            "sets": [[v for v in "pqrs" if rng.random() < 0.5] for _ in range(count)],
            "frames": [rng.normal(size=(rng.integers(1, 7), 4)).tolist() for _ in range(count)],
            "cls": np.where(x[:, 0] + x[:, 1] > 0, "yes", "no").tolist(),
            "reg": x[:, 1] * 100 + 500,
            "cnt": rng.poisson(np.exp(x[:, 2])),
            "ord": np.clip(np.round(x[:, 1]), -1, 1).astype(int),
            "lab": [[v for v in "uv" if rng.random() < 0.5] for _ in range(count)],
            "tags": tags,
            "tags2": tags,
            "nums": [[float(len(word)) for word in words] for words in split],
            "reg2": x[:, 2] * 9 + 4,
            "wide": (x[:, 1:] * 3).tolist(),
            "amount": np.exp(x[:, 1] * 3),
            "q": np.arange(count) // 10,
            "rel": rng.integers(0, 3, count),
            "scan": scans.tolist(),
            "mask": (scans > 128).astype(int).tolist(),
            "depth": (scans / 10.0).tolist(),
            "who": rng.choice(np.array(["ann", "bob", "eve"]), count).tolist(),
        }
    )


TABLE = {"x0": "number", "x1": "number", "x2": "number", "color": "category"}
TWO = {"cls": "classification", "reg": "regression"}
SMALL = {"type": "transformer", "width": 8, "heads": 2, "layers": 1}


def text(encoder, **options):
    return {"type": "text", "encoder": encoder, "tokenizer": "words", "min_count": 1, **options}


def several(fusion):
    inputs = {
        "review": text(SMALL),
        "frames": {"type": "sequence", "encoder": SMALL},
        "x1": "number",
    }
    return {"inputs": inputs, "tasks": TWO, "model": {"fusion": fusion}}


def shared(sharing):
    encoder = {"type": "mlp", "hidden": [8, 8]}
    return {"inputs": TABLE, "tasks": TWO, "model": {"encoder": encoder, "sharing": sharing}}


TASKS = {
    "inputs": TABLE,
    "tasks": {
        **TWO,
        "cnt": "count",
        "ord": {"type": "ordinal", "classes": ["-1", "0", "1"]},
        "lab": "multi_label",
        "qu": {"type": "quantile", "column": "reg2", "quantiles": [0.1, 0.5, 0.9]},
        "wide": "regression",
        "amount": {"type": "regression", "transform": "log"},
        "rel": {"type": "ranking", "query": "q"},
    },
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
}
WORD_TASKS = {
    "cls": "classification",
    "tags": {"type": "sequence_labelling", "decoder": "crf"},
    "tags2": {"type": "sequence_labelling", "decoder": "lstm"},
    "nums": "word_regression",
}
OF_WORDS = {
    "inputs": {
        "review": text(
            {"type": "lstm", "width": 8, "layers": 2, "characters": {"width": 4}}, split="spaces"
        ),
        "x1": "number",
    },
    "tasks": WORD_TASKS,
}
OF_IMAGES = {
    "inputs": {
        "scan": {"type": "image", "encoder": {"type": "cnn", "widths": [8], "blocks": 1}},
    },
    "tasks": {
        "cls": "classification",
        "mask": {"type": "segmentation", "classes": 2},
        "depth": "pixel_regression",
        "who": "triplet",
    },
}
MODELS = {
    "sets": {"inputs": {**TABLE, "sets": "set"}, "tasks": TWO},
    "bag": {"inputs": {"review": {"type": "text", "encoder": "bag"}, "x1": "number"}, "tasks": TWO},
    "bag+lstm": {
        "inputs": {"review": text({"type": "bag+lstm", "lstm": {"width": 8}})},
        "tasks": TWO,
    },
    "pair": {
        "inputs": {
            "review": {
                "type": "text",
                "columns": ["review", "color"],
                "encoder": {"type": "lstm", "width": 8},
            }
        },
        "tasks": TWO,
    },
    "transformer": {
        "inputs": {"review": text({**SMALL, "positions": "learned"}, split="spaces")},
        "tasks": {"cls": "classification", "tags": "sequence_labelling"},
    },
    "reads": {
        "inputs": TABLE,
        "tasks": {**TWO, "reg": {"type": "regression", "reads": {"cls": {}}}},
    },
    "identity": {"inputs": TABLE, "tasks": TWO, "model": {"encoder": {"type": "identity"}}},
    "members": {"inputs": TABLE, "tasks": TWO, "model": {"encoder": {"type": "ensemble"}}},
    "tabular_transformer": {
        "inputs": TABLE,
        "tasks": TWO,
        "model": {"encoder": {"type": "tabular_transformer", "layers": 1}},
    },
    **{
        fusion: several({"type": fusion, **more})
        for fusion, more in {
            "concat": {},
            "attention": {},
            "gating": {},
            "hierarchical": {"groups": {"a": ["review", "frames"]}},
            "cross_attention": {},
        }.items()
    },
    **{
        f"sharing {sharing}": shared(sharing)
        for sharing in (
            "soft",
            "mmoe",
            "cgc",
            "ple",
            "dselect_k",
            "routing",
            "progressive",
            "attention",
            "cross_stitch",
        )
    },
}
