"""Guidance rules: how a scene should change, given a frozen denoiser; `named` lists them by name.

The gradient of each is w(t) times a direction. x_t is x0 noised to t; e_y, e_∅ and e_neg are the network's predictions
at x_t for the prompt, the empty prompt and a negative prompt; eps is the guided prediction (eq. 3). The cost is in UNet
sample-forwards per item and update, at t = 0.5:

| name | direction | cost |
|---|---|---|
| sds, sjc | eps - noise; sjc has w = 1 | 2 |
| nfsd | gamma (e_y - e_∅) + e_∅ - e_neg, without e_neg at low t | 2 or 3 |
| csd | gamma (e_y - e_∅), or e_neg in place of e_∅ | 2 or 3 |
| stablesd | the terms of eps - noise, each in its own range of t | 2 |
| sdi, mv-sdi | eps - kappa, with kappa from inversion at gamma_inv | 12 |
| ism | eps - the last prediction of an inversion | 7 |
| pfd | (x0 - x0_hat) / sigma(t), x0_hat denoised from SDI's x_t in several steps | 20 |
| hifa, hifa-one-step | the same from random noise, plus a pull of the render to the decoded x0_hat | 4, 2 |
| vsd, esd | eps - e_phi, phi an adapter trained on what the scene shows | 4, 5 |
| steindreamer | eps - fitted control variates of zero mean | 2 |
| asd | eps - e_y at a noisier t | 3 |
| sds-bridge | eps - noise, then gamma (e for wanted words - e for words of SDS's faults) | 2 |
| cfd | eps - noise fixed to the surface | 2 |
"""

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
