"""Guidance rules: what a scene should change, given a frozen denoiser; `named` has them by name."""

from sdilib.guidance.base import Direction, Rule, StatefulRule, Update, View, WeightedRule
from sdilib.guidance.sdi import ISM, MVSDI, PFD, SDI
from sdilib.guidance.sds import CSD, NFSD, SDS, SJC, StableSD

__all__ = [
    "CSD",
    "ISM",
    "MVSDI",
    "NFSD",
    "PFD",
    "SDI",
    "SDS",
    "SJC",
    "Direction",
    "Rule",
    "StableSD",
    "StatefulRule",
    "Update",
    "View",
    "WeightedRule",
]
