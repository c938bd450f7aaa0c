"""How far a camera is from where the word for its view changes, and scenes by view."""

from dataclasses import replace
from itertools import count

from sdilib.cameras import BACK_DEGREES, FRONT_DEGREES, VIEWS
from sdilib.checks import one_of
from sdilib.lab.world.dataset import random_scene
from sdilib.lab.world.kinds import OBJECT_NAMES
from sdilib.lab.world.scene import WorldCamera, WorldScene

MARGIN_DEGREES = 15.0
"""A view is judged only where the camera is at least this far from a border between two words."""

FRONTLESS = ("strawberry",)
"""Objects whose sides cannot be told apart by name, as they differ only in detail: here, in where the seeds lie."""


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
    turn = abs((camera.azimuth_degrees + 180.0) % 360.0 - 180.0)
    return min(abs(turn - border) for border in (FRONT_DEGREES, BACK_DEGREES))


def scene_of_view(
    name: str,
    colour: str,
    pattern: str,
    view: str,
    *,
    seed: int,
    index: int,
) -> WorldScene:
    """Draw a scene of given looks and view, with everything else drawn as in the data set.

    Args:
        name: one of `OBJECT_NAMES`.
        colour: one of `COLOURS`.
        pattern: one of `PATTERNS`.
        view: one of `VIEWS`.
        seed: of the scenes, at least 0.
        index: of the scene, at least 0.

    Raises:
        ValueError: an unknown word, or a negative number.
    """
    one_of("view", view, VIEWS)
    # The data set's draws in turn, until one is of this view (one in seven is overhead).
    draws = (random_scene(seed, 1000 * index + attempt)[0] for attempt in count())
    drawn = next(scene for scene in draws if scene.camera.view == view)
    return replace(drawn, name=name, colour=colour, pattern=pattern)
