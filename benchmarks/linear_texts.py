"""Single-task linear models of texts: the baseline for a multi-task model on texts.

Fitted with scikit-learn on all rows outside the test set, without tuning.
"""

import re

import numpy as np
import torch
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score

from motet.tags import TagSet


def classes(texts, labels, test):
    """Return accuracy and macro F1 of logistic regression on TF-IDF of words and pairs of words.

    Args:
        texts: One per row.
        labels: One per row, None where it is missing.
        test: Whether a row is in the test set, (N,).
    """
    labels = np.array([None if label is None else str(label) for label in labels])
    known = np.array([label is not None for label in labels])
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    fit, held = np.flatnonzero(known & ~test), np.flatnonzero(known & test)
    seen = words.fit_transform([texts[row] for row in fit])
    model = LogisticRegression(C=10, max_iter=1000).fit(seen, labels[fit])
    found = model.predict(words.transform([texts[row] for row in held]))
    return {
        "accuracy": float((found == labels[held]).mean()),
        "macro_f1": float(f1_score(labels[held], found, average="macro")),
    }


def tags(sentences, labels, test):
    """Return span F1 and token accuracy; tag each word from itself and two neighbours a side."""
    fit, held = np.flatnonzero(~test), np.flatnonzero(test)
    features = FeatureHasher(2**18)
    seen = features.transform([each for row in fit for each in _window(sentences[row])])
    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=20, random_state=0)
    model.fit(seen, [tag for row in fit for tag in labels[row]])
    flat = model.predict(
        features.transform([each for row in held for each in _window(sentences[row])])
    )
    true = [labels[row] for row in held]
    found = [part.tolist() for part in np.split(flat, np.cumsum([*map(len, true)])[:-1])]
    return {
        "span_f1": span_f1(true, found),
        "token_accuracy": float(np.mean(flat == [tag for row in true for tag in row])),
    }


def span_f1(true, found):
    """Return the F1 of whole spans, by rows of tags."""
    names = TagSet(sorted({tag for row in (*true, *found) for tag in row}))
    right, guessed = _spans(names, true), _spans(names, found)
    return 2 * len(guessed & right) / (len(guessed) + len(right))


def _window(words):
    around = ["<s>", "<s>", *words, "</s>", "</s>"]
    for place, word in enumerate(words):
        found = {f"{shift}={around[place + 2 + shift].lower()}": 1 for shift in range(-2, 3)}
        found |= {f"suffix{n}={word[-n:].lower()}": 1 for n in (2, 3)}
        found |= {"capital": int(word[:1].isupper()), "digit": int(bool(re.search(r"\d", word)))}
        yield found


def _spans(names, rows):
    place = {name: number for number, name in enumerate(names.names)}
    places = [torch.tensor([place[tag] for tag in row], dtype=torch.long) for row in rows]
    padded = torch.nn.utils.rnn.pad_sequence(places, True, -100).numpy()
    return set(zip(*names.spans(padded, strict=False), strict=True))
