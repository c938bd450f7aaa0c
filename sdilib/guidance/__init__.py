"""Guidance rules: what a scene should change, given a frozen denoiser; `named` has them by name."""

from sdilib.guidance.base import Rule, StatefulRule, Update, View
from sdilib.guidance.sdi import ISM, SDI
from sdilib.guidance.sds import SDS

__all__ = ["ISM", "SDI", "SDS", "Rule", "StatefulRule", "Update", "View"]
