"""Tasks: how labels are read, which loss and metrics they have, and what a prediction is."""

from typing import TYPE_CHECKING, Any

from motet import options
from motet.elsewhere import missing
from motet.registry import TASKS
from motet.tasks.auxiliary import Auxiliary
from motet.tasks.base import Prediction, Task
from motet.tasks.classification import Classification
from motet.tasks.contrastive import Contrastive
from motet.tasks.count import Count
from motet.tasks.custom import Custom
from motet.tasks.denoising import Cells, Denoising
from motet.tasks.generation import Generation
from motet.tasks.heads import CustomHead, TaskHead
from motet.tasks.language_modelling import LanguageModelling
from motet.tasks.masked_language_modelling import MaskedLanguageModelling
from motet.tasks.metric import Metric, Score, ScoredRows
from motet.tasks.multi_label import MultiLabel
from motet.tasks.next_sentence import NextSentence
from motet.tasks.ordinal import Ordinal
from motet.tasks.pixel_regression import PixelRegression
from motet.tasks.quantile import Quantile
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.scores import fit_trivial, normalised_score, score_trivial, trivial_metrics
from motet.tasks.segmentation import Segmentation
from motet.tasks.sentence_order import SentenceOrder
from motet.tasks.sequence_labelling import SequenceLabelling
from motet.tasks.task_metrics import TaskMetrics
from motet.tasks.text_auxiliary import TextAuxiliary, TokenAuxiliary
from motet.tasks.triplet import Triplet
from motet.tasks.word_order import WordOrder
from motet.tasks.word_regression import WordRegression
from motet.vocabularies import Vocabulary

__all__ = [
    "Auxiliary",
    "Cells",
    "Classification",
    "Contrastive",
    "Count",
    "Custom",
    "CustomHead",
    "Denoising",
    "Generation",
    "LanguageModelling",
    "MaskedLanguageModelling",
    "Metric",
    "MultiLabel",
    "NextSentence",
    "Ordinal",
    "PixelRegression",
    "Prediction",
    "Quantile",
    "Ranking",
    "Regression",
    "Score",
    "ScoredRows",
    "Segmentation",
    "SentenceOrder",
    "SequenceLabelling",
    "Task",
    "TaskHead",
    "TaskMetrics",
    "TextAuxiliary",
    "TokenAuxiliary",
    "Triplet",
    "Vocabulary",
    "WordOrder",
    "WordRegression",
    "available",
    "create",
    "fit_trivial",
    "normalised_score",
    "score_trivial",
    "trivial_metrics",
]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)


def available() -> list[str]:
    """Return the kinds of task, those of users too.

    Example:
        >>> available()[:3]
        ['classification', 'regression', 'multi_label']
    """
    return list(TASKS)


def create(kind: str, name: str, **settings: Any) -> Task:
    """Make a task of a kind, as a config does.

    Args:
        kind: One of `available`.
        name: The task's name.
        **settings: Options of that kind.

    Returns:
        The task; a kind or an option that is unknown or wrong is an ``InputError``.

    Example:
        >>> create("classification", "digit", classes=10)
        Classification('digit', outputs=10)
    """
    task: Task = options.create(TASKS, kind, name, **settings)
    return task
