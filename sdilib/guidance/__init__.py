"""Guidance rules: what a frozen denoiser says about a render, as a gradient in its latents."""

from sdilib.guidance.base import WEIGHTS, Rule, StatefulRule, Update, View
from sdilib.guidance.rules import ISM, SDI, SDS

__all__ = ["ISM", "SDI", "SDS", "WEIGHTS", "Rule", "StatefulRule", "Update", "View"]
