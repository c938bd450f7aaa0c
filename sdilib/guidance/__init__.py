"""Guidance rules: what a scene should change, given a frozen denoiser; `named` has them by name."""

from sdilib.guidance.base import Direction, Rule, StatefulRule, Update, View, WeightedRule
from sdilib.guidance.hifa import HiFA, HiFAOneStep
from sdilib.guidance.neighbours import ASD, CFD, SDSBridge
from sdilib.guidance.sdi import ISM, MVSDI, PFD, SDI
from sdilib.guidance.sds import CSD, NFSD, SDS, SJC, StableSD
from sdilib.guidance.stein import SteinDreamer
from sdilib.guidance.vsd import ESD, VSD

__all__ = [
    "ASD",
    "CFD",
    "CSD",
    "ESD",
    "ISM",
    "MVSDI",
    "NFSD",
    "PFD",
    "SDI",
    "SDS",
    "SJC",
    "VSD",
    "Direction",
    "HiFA",
    "HiFAOneStep",
    "Rule",
    "SDSBridge",
    "StableSD",
    "StatefulRule",
    "SteinDreamer",
    "Update",
    "View",
    "WeightedRule",
]
