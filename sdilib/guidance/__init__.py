"""Guidance rules: what a scene should change, given a frozen denoiser; `named` has them by name.

Each is w(t) times a direction. x_t is x0 noised to t; e_y, e_∅ and e_neg are what the network predicts in it for the
prompt, the empty and a negative prompt, eps is guided (eq. 3). UNet sample-forwards per item and update, at t = 0.5:

| name | direction | cost |
|---|---|---|
| sds, sjc | eps - noise; sjc has w = 1 | 2 |
| nfsd | gamma (e_y - e_∅) + e_∅ - e_neg, the last two terms by t | 2 or 3 |
| csd | gamma (e_y - e_∅), or e_neg in place of e_∅ | 2 or 3 |
| stablesd | the terms of eps - noise that t calls for | 2 |
| sdi, mv-sdi | eps - kappa, kappa inverted at gamma_inv | 12 |
| ism | eps - the last interval's prediction of an inversion | 7 |
| pfd | (x0 - x0_hat) / sigma(t), x0_hat by several steps from SDI's x_t | 20 |
| hifa, hifa-one-step | the same from a drawn noise, and the decoded x0_hat in the image | 4, 2 |
| vsd, esd | eps - e_phi, phi an adapter that learns what the scene shows | 4, 5 |
| steindreamer | eps - fitted variates of mean zero | 2 |
| asd | eps - e_y at a later t | 3 |
| sds-bridge | eps - noise, then gamma (e of what is wanted - e of what is there) | 2 |
| cfd | eps - a noise that stays on the surface | 2 |
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
