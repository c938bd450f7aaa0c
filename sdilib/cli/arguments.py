"""Argument parsing shared by the commands; nothing here imports torch."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from sdilib.checks import reject

Command = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a command to the program, given its name, its function and a line of help; returns its parser."""


def add_preset(
    parser: argparse.ArgumentParser, *, model: bool = False, default: str = "laptop"
) -> None:
    """Add the option for the preset, and for the model that goes with it.

    Args:
        parser: the command's parser.
        model: whether the command takes a model.
        default: the preset; "" depends on the model.
    """
    usual = "(default)" if default else "(default for models of the bundled world; for others gpu)"
    parser.add_argument("--preset", default=default, help=f"smoke, laptop {usual}, full or gpu")
    if model:
        parser.add_argument(
            "--model", default="", help="mini, a folder or a hub id; default: the preset's"
        )


def integer(text: str) -> int:
    """Return an integer.

    Args:
        text: as typed.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer") from None


def number(text: str) -> float:
    """Return a number; whether it is finite is for the command to check.

    Args:
        text: as typed.
    """
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a finite number") from None


def pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """Return values by name, from words such as steps=30.

    Args:
        option: the option that they belong to.
        words: as typed.

    Raises:
        ValueError: a word of another form.
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            reject(option, word, "name=value")
        found[name] = value
    return found


def plain(text: str) -> Any:
    """Return the number, true, false or list that a text represents in JSON, or else the text itself.

    Args:
        text: as typed.

    Examples:
        >>> plain("0.5"), plain("random")
        (0.5, 'random')
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def typed(name: str, text: str, like: Any) -> Any:
    """Convert a text to the type of a setting.

    Args:
        name: name of the setting.
        text: as typed.
        like: the setting's current value; a tuple stands for two numbers, None for one.

    Raises:
        ValueError: the text is no such value.
    """
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(like, tuple):
            return tuple(float(part) for part in text.split(","))
        return float(text) if like is None else type(like)(text)
    except (KeyError, ValueError):
        pair = isinstance(like, tuple)
        kind = "number" if like is None else type(like).__name__
        reject(name, text, "two numbers, as in 0,45" if pair else f"a value of type {kind}")
