"""Faults, by program: a seeded sample of each kind in the suite, all of them by `make soak`."""

import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest

collect_ignore = ["try_settings.py"]  # a program

SOAK = float(os.environ.get("SDILIB_SOAK", "0"))
"""How much of a soak's length is asked for: 0 in the suite, 1 for the whole."""

Case = TypeVar("Case")


@pytest.fixture
def sample() -> Callable[[list[Case], int], list[Case]]:
    """Some of the cases, always the same; of a whole soak all."""

    def draw(cases: list[Case], few: int) -> list[Case]:
        count = min(len(cases), max(few, round(SOAK * len(cases))))
        chosen = np.random.default_rng(0).permutation(len(cases))[:count]
        return [cases[k] for k in chosen]

    return draw


@pytest.fixture
def times() -> Callable[[int, int], int]:
    """A number of repetitions: few in the suite, many in a soak."""
    return lambda few, many: max(few, round(SOAK * many))
