"""Drop-in optimizers for any PyTorch program, made of the rules that a study maps over its runs."""

from __future__ import annotations

from ravine.optim.adaptive import AdaGrad, Adam, AdamW, Lion, RMSProp
from ravine.optim.muon import Muon
from ravine.optim.nadam import NAdam
from ravine.optim.newton import Newton
from ravine.optim.own import of
from ravine.optim.quasi_newton import BFGS, LBFGS
from ravine.optim.sam import SAM
from ravine.optim.schedule import Schedule
from ravine.optim.schedule_free import ScheduleFreeAdamW
from ravine.optim.statistics import estimate_batchnorm
from ravine.optim.velocity import SGD, Momentum, Nesterov

__all__ = [
    "BFGS",
    "LBFGS",
    "SAM",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "Newton",
    "RMSProp",
    "Schedule",
    "ScheduleFreeAdamW",
    "estimate_batchnorm",
    "of",
]
