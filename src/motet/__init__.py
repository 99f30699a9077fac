"""motet: multi-task learning on PyTorch.

Names are imported when first used, so ``import motet`` is quick and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from motet.version import __version__ as __version__

if TYPE_CHECKING:
    from motet import (
        analysis,
        balancing,
        comparing,
        config,
        data,
        encoders,
        migration,
        planning,
        scheduling,
        sharing,
        tasks,
    )
    from motet.balancing import backward
    from motet.comparing import compare
    from motet.config import Config
    from motet.estimator import MultiTaskClassifier, MultiTaskEstimator, MultiTaskRegressor
    from motet.migration import migrate
    from motet.model import MultiTaskModel
    from motet.planning import plan
    from motet.problems import InputError
    from motet.registry import register
    from motet.run import Run, ensemble, load, resume, train
    from motet.tasks import TaskMetrics
    from motet.training import Trainer
    from motet.tuning import tune

__all__ = [
    "Config",
    "InputError",
    "MultiTaskClassifier",
    "MultiTaskEstimator",
    "MultiTaskModel",
    "MultiTaskRegressor",
    "Run",
    "TaskMetrics",
    "Trainer",
    "analysis",
    "backward",
    "balancing",
    "compare",
    "comparing",
    "config",
    "data",
    "encoders",
    "ensemble",
    "load",
    "migrate",
    "migration",
    "plan",
    "planning",
    "register",
    "resume",
    "scheduling",
    "sharing",
    "tasks",
    "train",
    "tune",
]

_PLACES = {
    "Config": "motet.config",
    "InputError": "motet.problems",
    "MultiTaskClassifier": "motet.estimator",
    "MultiTaskEstimator": "motet.estimator",
    "MultiTaskModel": "motet.model",
    "MultiTaskRegressor": "motet.estimator",
    "Run": "motet.run",
    "TaskMetrics": "motet.tasks",
    "Trainer": "motet.training",
    "backward": "motet.balancing",
    "compare": "motet.comparing",
    "ensemble": "motet.run",
    "load": "motet.run",
    "migrate": "motet.migration",
    "plan": "motet.planning",
    "register": "motet.registry",
    "resume": "motet.run",
    "train": "motet.run",
    "tune": "motet.tuning",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in __all__:
        return import_module(f"motet.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module 'motet' has no attribute {name!r}")
    raise import_module("motet.elsewhere").missing(__name__, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
