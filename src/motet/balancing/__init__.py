"""Balancers: how the losses or gradients of several tasks become one update."""

from typing import Any

from motet.balancing.aligned import AlignedMTL
from motet.balancing.cagrad import CAGrad
from motet.balancing.conflict_free import ConFIG
from motet.balancing.db_mtl import DBMTL
from motet.balancing.dualproj import DualProj
from motet.balancing.dwa import DWA
from motet.balancing.engine import BackwardResult, backward, combine, reached_tasks
from motet.balancing.equal import Equal
from motet.balancing.excess import ExcessMTL
from motet.balancing.fairgrad import FairGrad
from motet.balancing.families import (
    Balancer,
    GramianBalancer,
    JacobianBalancer,
    LooksAhead,
    LossBalancer,
    PenalizesNorms,
    ReadsAfterStep,
    ReadsEpochs,
    ReadsNorms,
    ReadsScores,
)
from motet.balancing.famo import FAMO
from motet.balancing.focal import Focal
from motet.balancing.geometric import Geometric
from motet.balancing.graddrop import GradDrop
from motet.balancing.gradient_ratio import GradientRatio
from motet.balancing.gradnorm import GradNorm
from motet.balancing.gradvac import GradVac
from motet.balancing.imtl import IMTL
from motet.balancing.imtl_g import IMTLG
from motet.balancing.imtl_l import IMTLL
from motet.balancing.log import LogLoss
from motet.balancing.manual import Manual
from motet.balancing.meta import Meta
from motet.balancing.mgda import MGDA
from motet.balancing.moco import MoCo
from motet.balancing.nash import Nash
from motet.balancing.pcgrad import PCGrad
from motet.balancing.random import RLW
from motet.balancing.stch import STCH
from motet.balancing.uncertainty import Uncertainty
from motet.balancing.upgrad import UPGrad
from motet.options import create as _create
from motet.problems import InputError, with_article
from motet.registry import BALANCERS

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "IMTL",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "STCH",
    "AlignedMTL",
    "BackwardResult",
    "Balancer",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "Equal",
    "ExcessMTL",
    "FairGrad",
    "Focal",
    "Geometric",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "GradientRatio",
    "GramianBalancer",
    "JacobianBalancer",
    "LogLoss",
    "LooksAhead",
    "LossBalancer",
    "Manual",
    "Meta",
    "MoCo",
    "Nash",
    "PCGrad",
    "PenalizesNorms",
    "ReadsAfterStep",
    "ReadsEpochs",
    "ReadsNorms",
    "ReadsScores",
    "UPGrad",
    "Uncertainty",
    "available",
    "backward",
    "combine",
    "create",
    "reached_tasks",
]


def create(name: str, tasks: Any, **options: Any) -> Balancer:
    """Build a balancer by name for the tasks named.

    Returns:
        The balancer, its state fresh.

    Raises:
        InputError: If the name or an option is unknown, an option has a wrong value, or what a user
            registered by the name makes no balancer.
    """
    if isinstance(BALANCERS[name], Balancer):
        raise InputError(
            f"{name!r} is registered as a balancer that is made already; register its class"
        )
    balancer = _create(BALANCERS, name, tasks, **options)
    if not isinstance(balancer, Balancer):
        raise InputError(
            f"what is registered as {name!r} made {with_article(type(balancer).__name__)}, "
            "expected a balancer: register a subclass of LossBalancer, GramianBalancer or "
            "JacobianBalancer"
        )
    return balancer


def available() -> list[str]:
    """Return the names of all balancers."""
    return list(BALANCERS)
