"""What is said about a scene: a small grammar over a fixed vocabulary.

A caption is an opening ("a photo of"), an article, colour, pattern and object, and sometimes the
view: "a photo of a red spotted mushroom, front view". Plain objects are not called plain.
"""

import hashlib

import numpy as np

from sdilib.cameras import VIEWS
from sdilib.checks import one_of
from sdilib.denoiser import with_view
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.lab.world.scene import WorldScene

OPENINGS = ("", "a photo of ", "a render of ", "a picture of ")
WORDS: tuple[str, ...] = tuple(
    sorted(
        {"a", "an", ",", "view"}
        | {word for opening in OPENINGS for word in opening.split()}
        | {word for name in OBJECT_NAMES for word in name.split()}
        | set(COLOURS)
        | set(PATTERNS[1:])
        | set(VIEWS)
    )
)
"""Every word a caption can hold, and so every word the bundled model knows."""

_SHARE_WITH_VIEW = 0.75
_SHARE_WITHOUT_COLOUR = 0.15
# Small, since there is no word for plain: a prompt without a pattern should mean a plain object.
_SHARE_WITHOUT_PATTERN = 0.05


def prompt(name: str, colour: str, *, pattern: str = "plain", view: str | None = None) -> str:
    """Say what an object looks like, in the words the bundled model knows.

    Args:
        name: one of `kinds.OBJECT_NAMES`.
        colour: one of `kinds.COLOURS`, or "" to leave it open.
        pattern: one of `kinds.PATTERNS`; "plain" is not said.
        view: one of `cameras.VIEWS`, or None.

    Raises:
        ValueError: an unknown word.

    Examples:
        >>> prompt("mushroom", "red", pattern="spotted", view="front")
        'a red spotted mushroom, front view'
        >>> prompt("ice cream", "")
        'an ice cream'
    """
    one_of("name", name, OBJECT_NAMES)
    one_of("pattern", pattern, PATTERNS)
    if colour:
        one_of("colour", colour, COLOURS)
    words = [colour, "" if pattern == "plain" else pattern, name]
    phrase = " ".join(word for word in words if word)
    phrase = f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
    return phrase if view is None else with_view(phrase, one_of("view", view, VIEWS))


def caption(scene: WorldScene, random: np.random.Generator) -> str:
    """Draw a caption of a scene: its opening, whether it has a view word (three in four do), and what it leaves out.

    Args:
        scene: what is described.
        random: source of the choices; the number of draws taken is always the same.
    """
    opening = OPENINGS[random.integers(len(OPENINGS))]
    with_view, without_colour, without_pattern = random.random(3)
    phrase = prompt(
        scene.name,
        "" if without_colour < _SHARE_WITHOUT_COLOUR else scene.colour,
        pattern="plain" if without_pattern < _SHARE_WITHOUT_PATTERN else scene.pattern,
        view=scene.camera.view if with_view < _SHARE_WITH_VIEW else None,
    )
    return opening + phrase


def is_held_out(name: str, colour: str, pattern: str) -> bool:
    """Whether this combination is never shown in training; true for about 8% of all.

    Plain objects are never held out. The choice is a hash of the words, so it does not change when
    an object or a colour is added.

    Args:
        name: one of `kinds.OBJECT_NAMES`.
        colour: one of `kinds.COLOURS`.
        pattern: one of `kinds.PATTERNS`.

    Raises:
        ValueError: an unknown word.
    """
    one_of("name", name, OBJECT_NAMES)
    one_of("colour", colour, COLOURS)
    if one_of("pattern", pattern, PATTERNS) == "plain":
        return False
    digest = hashlib.sha256(f"{name}/{colour}/{pattern}".encode()).digest()
    return digest[0] < 27  # 27 of 256, in three patterns of four
