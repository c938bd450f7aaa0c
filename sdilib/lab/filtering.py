"""Runs found by words, alike on the page of results and by `sdilib runs list`."""

from collections.abc import Mapping
from typing import Any


def matches(run: Mapping[str, Any], asked: str) -> bool:
    """Return whether a run has all the words asked for: of its prompt, rule or state, or setting=value.

    Args:
        run: from `lab.runs.known_runs`.
        asked: words, in any case and order; a word may be the beginning of one.

    Examples:
        >>> run = {"config": {"prompt": "a red mug", "rule": "sdi", "seed": 1}, "state": "done"}
        >>> [matches(run, asked) for asked in ("", "mu SDI seed=1", "done", "cat")]
        [True, True, True, False]
    """
    config = run["config"]
    words = f"{config['prompt']} {config['rule']} {run['state']}".lower().split()
    words += [f"{name}={value}".lower() for name, value in config.items()]
    return all(any(word.startswith(each) for word in words) for each in asked.lower().split())
