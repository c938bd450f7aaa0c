"""Views with room to spare: how far a camera is from where the word for its view changes, and scenes by view."""

from dataclasses import replace
from itertools import count

from sdilib.checks import in_range, one_of
from sdilib.world.captions import VIEWS
from sdilib.world.dataset import random_scene
from sdilib.world.kinds import OBJECT_NAMES
from sdilib.world.scene import WorldCamera, WorldScene

__all__ = ["FRONTLESS", "MARGIN_DEGREES", "has_front", "scene_of_view", "view_margin"]

MARGIN_DEGREES = 15.0
"""A view is judged only where the camera is at least this far from a border between two words."""

FRONTLESS = ("strawberry",)
"""Objects whose sides differ in nothing that has a name: here, in where the seeds lie."""

_BORDERS = (-135.0, -45.0, 45.0, 135.0)


def has_front(name: str) -> bool:
    """Whether an object's front, side and back can be told apart by what is on them.

    Args:
        name: one of `OBJECT_NAMES`.

    Raises:
        ValueError: unknown object.
    """
    return one_of("name", name, OBJECT_NAMES) not in FRONTLESS


def view_margin(camera: WorldCamera) -> float:
    """Degrees of azimuth to the nearest border between front, side and back; 180 for overhead.

    (No camera of the world's data lies within 15 degrees below the border of overhead.)

    Args:
        camera: any.
    """
    if camera.view == "overhead":
        return 180.0
    gaps = [(camera.azimuth_degrees - border + 180.0) % 360.0 - 180.0 for border in _BORDERS]
    return min(abs(gap) for gap in gaps)


def scene_of_view(
    name: str,
    colour: str,
    pattern: str,
    view: str,
    *,
    seed: int,
    index: int,
    margin_degrees: float = MARGIN_DEGREES,
) -> WorldScene:
    """Draw a scene of given looks, all else as the data set draws it within a view.

    Args:
        name: one of `OBJECT_NAMES`.
        colour: one of `COLOURS`.
        pattern: one of `PATTERNS`.
        view: one of `VIEWS`.
        seed: of the scenes, at least 0.
        index: of the scene, at least 0.
        margin_degrees: distance kept from the borders between views, in [0, 40].

    Raises:
        ValueError: an unknown word, or a number out of range.
    """
    one_of("view", view, VIEWS)
    in_range("margin_degrees", margin_degrees, 0.0, 40.0)
    # The data's own draws, taken in turn until one is of this view (one in seven is overhead).
    for attempt in count():
        drawn, _ = random_scene(seed, 1000 * index + attempt)
        if drawn.camera.view == view and view_margin(drawn.camera) >= margin_degrees:
            return replace(drawn, name=name, colour=colour, pattern=pattern)
    raise AssertionError("every view comes up")
