"""A scene: the words of its prompt, and all that the prompt leaves open.

What is left open is drawn again for every scene and never mentioned: proportions, shades, the pattern's place, the
surface's grain, light, background, camera. Its numbers lie in [-1, 1] unless they have a unit, with 0 in the middle, so
that the scenes of one prompt are a *family* whose members can be fitted and counted.

The compiled code sees a scene as one flat array, whose places are named below.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from sdilib.cameras import view_word
from sdilib.checks import in_range, one_of, reject
from sdilib.lab.world.kinds import (
    MOST_PARTS,
    NUM_SHAPE,
    OBJECT_NAMES,
    OBJECTS,
    PATTERNS,
    RADIUS,
    SECOND,
    SHADES,
    Shade,
)

BACKGROUND = 0.92  # by default: the same grey in every channel
_OVERHEAD_SHARE = 0.15

# Places in the flat array.
KIND, PATTERN, STRETCH = 0, 1, 2
SHAPE = 3
PAINT = SHAPE + NUM_SHAPE
OTHER = PAINT + 3
CELL, FILL, SHIFT_U, SHIFT_V = range(OTHER + 3, OTHER + 7)
TURN = SHIFT_V + 1  # a rotation, row by row
GRAIN, GRAIN_X, GRAIN_Y, GRAIN_Z, GRAIN_OFFSET = range(TURN + 9, TURN + 14)
KEY = GRAIN_OFFSET + 1  # direction
AMBIENT, KEY_LIGHT, FILL_LIGHT, WARMTH = range(KEY + 3, KEY + 7)
TOP = WARMTH + 1
BOTTOM = TOP + 3
UPWARDS = BOTTOM + 3  # cosine and sine: where in the picture `TOP` is
PARTS = UPWARDS + 2
LENGTH = PARTS + 3 * MOST_PARTS

_Random = np.random.Generator
_Three = tuple[float, float, float]


def _numbers(random: _Random, count: int) -> tuple[float, ...]:
    return tuple(random.uniform(-1.0, 1.0, count).tolist())


def _mix(place: float, low: float, high: float) -> float:
    """A number in [-1, 1], mapped to the range between two others."""
    return low + 0.5 * (1.0 + place) * (high - low)


@dataclass(frozen=True, slots=True)
class WorldCamera:
    """A camera that looks at the origin.

    Args:
        azimuth_degrees: 0 in front of the object, 90 at its left (+x), 180 behind it.
        elevation_degrees: in [-89, 89], 0 level, positive above.
        distance: from the origin, larger than `kinds.RADIUS`.
        fov_degrees: full vertical field of view, in (0, 120].
    """

    azimuth_degrees: float
    elevation_degrees: float
    distance: float = 3.6
    fov_degrees: float = 40.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        in_range("azimuth_degrees", self.azimuth_degrees, -3600.0, 3600.0)
        in_range("elevation_degrees", self.elevation_degrees, -89.0, 89.0)
        in_range("distance", self.distance, RADIUS, 1e3, open_low=True)
        in_range("fov_degrees", self.fov_degrees, 0.0, 120.0, open_low=True)

    @classmethod
    def drawn(cls, random: _Random) -> "WorldCamera":
        """Draw one: from all around, near or far, the object filling more or less of the picture.

        Args:
            random: where the choices come from.
        """
        above = random.random() < _OVERHEAD_SHARE
        azimuth, elevation, distance, room = (
            random.uniform(-180.0, 180.0),
            random.uniform(60.0, 80.0) if above else random.uniform(-8.0, 45.0),
            random.uniform(2.7, 5.2),
            random.uniform(0.98, 1.24),
        )
        fov = 2.0 * np.degrees(np.arctan(RADIUS * room / distance))
        return cls(float(azimuth), float(elevation), float(distance), float(fov))

    @property
    def view(self) -> str:
        """The word for this view: front, side, back or overhead."""
        return view_word(self.azimuth_degrees, self.elevation_degrees)


@dataclass(frozen=True, slots=True)
class Light:
    """Light, fixed to the object, so that a point has the same colour from every side.

    Args:
        azimuth_degrees: of the key light, measured as for a camera.
        elevation_degrees: of the key light, in [-90, 90].
        contrast: of key light to ambient light, in [-1, 1].
        warmth: of the key light's colour, in [-1, 1].
    """

    azimuth_degrees: float = 42.0
    elevation_degrees: float = 48.0
    contrast: float = 0.0
    warmth: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        in_range("elevation_degrees", self.elevation_degrees, -90.0, 90.0)
        in_range("contrast", self.contrast, -1.0, 1.0)
        in_range("warmth", self.warmth, -1.0, 1.0)

    @classmethod
    def drawn(cls, random: _Random) -> "Light":
        """Draw one, from above the horizon.

        Args:
            random: where the choices come from.
        """
        return cls(
            float(random.uniform(-180.0, 180.0)),
            float(random.uniform(10.0, 80.0)),
            *_numbers(random, 2),
        )


@dataclass(frozen=True, slots=True)
class Background:
    """A plain colour, or a gentle change from one to another.

    Args:
        top: red, green and blue in [0, 1].
        bottom: red, green and blue; None is the same as the top.
        turn_degrees: how far the top is turned away from up.
    """

    top: _Three = (BACKGROUND, BACKGROUND, BACKGROUND)
    bottom: _Three | None = None
    turn_degrees: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a colour."""
        for name, colour in (("top", self.top), ("bottom", self.bottom or self.top)):
            for value in colour:
                in_range(name, value, 0.0, 1.0)

    @classmethod
    def drawn(cls, random: _Random) -> "Background":
        """Draw one: half of them grey, half in soft colours; half plain, half with a gradient.

        Args:
            random: where the choices come from.
        """
        coloured, gradient = random.random(2) < 0.5
        hue, saturation, value = random.uniform((0, 0.04, 0.01), (360, 0.42, 0.98))
        value = float(np.sqrt(value))  # more light ones than dark
        change, turned, turn = random.uniform((-0.18, -30, -180), (0.18, 30, 180))

        def end(side: float) -> _Three:
            pale = float(saturation * coloured)
            light = float(np.clip(value + side * change, 0.05, 1.0))
            shade = Shade((float(hue + side * turned), 0.0), (pale, pale), (light, 1.0))
            return shade.at((0.0, -1.0, -1.0))

        return cls(end(float(gradient)), end(-float(gradient)), float(turn))


@dataclass(frozen=True, slots=True)
class Member:
    """Which member of its family an object is; every number in [-1, 1].

    Args:
        shape: its proportions; `bodies` says what each number does.
        paint: hue, saturation and value within the range of its named colour.
        second: the same of the pattern's other colour.
        parts: the same of each part that the prompt does not paint.
        pattern: size of the cells, how much of each is filled, and the cells' shift around and along.
        tilt: of the pattern's axis, towards +x and towards +z.
        grain: of the surface: strength (-1 is none), size, elongation along y, and offset.
    """

    shape: tuple[float, ...] = (0.0,) * NUM_SHAPE
    paint: tuple[float, ...] = (0.0, 0.0, 0.0)
    second: tuple[float, ...] = (0.0, 0.0, 0.0)
    parts: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0),) * MOST_PARTS
    pattern: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    tilt: tuple[float, ...] = (0.0, 0.0)
    grain: tuple[float, ...] = (-1.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse too many or too few numbers, or numbers out of range."""
        whole = Member.__dataclass_fields__
        for name in ("shape", "paint", "second", "pattern", "tilt", "grain"):
            given = getattr(self, name)
            if len(given) != len(whole[name].default):
                reject(name, given, f"{len(whole[name].default)} numbers")
            for value in given:
                in_range(name, value, -1.0, 1.0)
        if np.shape(self.parts) != (MOST_PARTS, 3) or np.abs(self.parts).max() > 1.0:
            reject("parts", self.parts, f"{MOST_PARTS} times three numbers in [-1, 1]")

    @classmethod
    def drawn(cls, random: _Random) -> "Member":
        """Draw one uniformly.

        Args:
            random: where the choices come from.
        """
        shape, paint, second, pattern, tilt, grain = (
            _numbers(random, count) for count in (NUM_SHAPE, 3, 3, 4, 2, 4)
        )
        parts = tuple(_numbers(random, 3) for _ in range(MOST_PARTS))
        return cls(shape, paint, second, parts, pattern, tilt, grain)


@dataclass(frozen=True, slots=True)
class WorldScene:
    """An object and how it is seen.

    Args:
        name: one of `OBJECT_NAMES`.
        colour: one of `COLOURS`.
        pattern: one of `PATTERNS`.
        camera: the view.
        stretch: scale of the object along y, in [0.5, 1.5].
        member: which of all objects of these words.
        light: on the object.
        background: behind the object.
    """

    name: str
    colour: str
    pattern: str
    camera: WorldCamera = WorldCamera(0.0, 0.0)
    stretch: float = 1.0
    member: Member = field(default_factory=Member)
    light: Light = field(default_factory=Light)
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        """Refuse unknown words."""
        one_of("name", self.name, OBJECT_NAMES)
        one_of("colour", self.colour, list(SHADES))
        one_of("pattern", self.pattern, PATTERNS)
        in_range("stretch", self.stretch, 0.5, 1.5)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The numbers of the object, the colour and the pattern."""
        colour = list(SHADES).index(self.colour)
        return OBJECT_NAMES.index(self.name), colour, PATTERNS.index(self.pattern)

    @classmethod
    def drawn(cls, name: str, colour: str, pattern: str, random: _Random) -> "WorldScene":
        """Draw all that the words leave open.

        Args:
            name: one of `OBJECT_NAMES`.
            colour: one of `COLOURS`.
            pattern: one of `PATTERNS`.
            random: source of the choices; the number of draws taken is always the same.
        """
        camera, stretch = WorldCamera.drawn(random), float(random.uniform(0.92, 1.06))
        member, light = Member.drawn(random), Light.drawn(random)
        return cls(name, colour, pattern, camera, stretch, member, light, Background.drawn(random))


def flat(scene: WorldScene) -> Float[np.ndarray, " numbers"]:
    """Return a scene without its camera, as the compiled code sees it.

    Args:
        scene: any.
    """
    of, light, behind = scene.member, scene.light, scene.background
    kind, _, pattern = scene.numbers
    v = np.zeros(LENGTH)
    v[KIND], v[PATTERN], v[STRETCH] = kind, pattern, scene.stretch
    v[SHAPE:PAINT] = of.shape
    v[PAINT:OTHER] = SHADES[scene.colour].at(of.paint)
    v[OTHER:CELL] = SECOND.at(of.second)
    size, filled, *shift = of.pattern
    v[CELL], v[FILL] = 1.10 * 1.30**size, 1.20**filled
    v[SHIFT_U], v[SHIFT_V] = shift
    v[TURN:GRAIN] = _rotation(*of.tilt).ravel()
    strength, size, longer, start = of.grain
    across = 1.0 / (_mix(size, 0.050, 0.12) * 1.5 ** (-0.5 * longer))
    v[GRAIN] = _mix(strength, 0.0, 0.36)
    v[GRAIN_X], v[GRAIN_Y], v[GRAIN_Z] = across, across * 1.5 ** (-1.5 * longer), across
    v[GRAIN_OFFSET] = 50.0 * start
    a, e = np.radians(light.azimuth_degrees), np.radians(light.elevation_degrees)
    v[KEY : KEY + 3] = np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)
    v[KEY_LIGHT] = _mix(light.contrast, 0.26, 0.70)
    v[AMBIENT], v[FILL_LIGHT], v[WARMTH] = 1.0 - 0.84 * v[KEY_LIGHT], 0.20, 0.08 * light.warmth
    v[TOP:BOTTOM] = behind.top
    v[BOTTOM:UPWARDS] = behind.bottom or behind.top
    turn = np.radians(behind.turn_degrees)
    v[UPWARDS], v[UPWARDS + 1] = np.cos(turn), np.sin(turn)
    for i, part in enumerate(OBJECTS[scene.name]):
        v[PARTS + 3 * i : PARTS + 3 * i + 3] = part.shade.at(of.parts[i])
    return v


def _rotation(right: float, front: float) -> Float[np.ndarray, "3 3"]:
    """Turn about z, then x, by up to 40 degrees each."""
    a, b = np.radians(40.0 * right), np.radians(40.0 * front)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_z
