"""Balancers: how the losses or gradients of several tasks become one update."""

from typing import TYPE_CHECKING, Any

from motet.balancing.aligned import AlignedMTL
from motet.balancing.cagrad import CAGrad
from motet.balancing.conflict_free import ConFIG
from motet.balancing.creating import available, create
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
    Needs,
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
from motet.balancing.pcd import PCD
from motet.balancing.pcgrad import PCGrad
from motet.balancing.random import RLW
from motet.balancing.stch import STCH
from motet.balancing.uncertainty import Uncertainty
from motet.balancing.upgrad import UPGrad
from motet.elsewhere import missing

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "IMTL",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "PCD",
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
    "Needs",
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


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
