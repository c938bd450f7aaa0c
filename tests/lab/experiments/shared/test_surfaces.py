"""Surfaces of objects beside the true ones."""

import numpy as np
import pytest
import torch

from sdilib.lab.experiments.shared.objects import AZIMUTHS, ELEVATION, Looked
from sdilib.lab.experiments.shared.surfaces import best_chamfer
from sdilib.lab.world.nearest import rendered
from sdilib.lab.world.objects import signed_distance
from sdilib.lab.world.scene import Member, WorldCamera, WorldScene
from sdilib.nerf.field import NeRF


class Solid(NeRF):
    """A field that is dense inside one of the world's objects, turned and of some size."""

    radius = 1.2

    def __init__(self, name, *, degrees=0.0, size=1.0, of=None):
        torch.nn.Module.__init__(self)
        self.of = of or WorldScene(name, "red", "plain")
        self.size, self.one = size, torch.nn.Parameter(torch.ones(1))
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        self.turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])

    def density(self, points):
        inside = points.double().numpy() @ self.turn / self.size
        return 15.0 * torch.exp(-20 * torch.from_numpy(signed_distance(self.of, inside)).float())

    def density_and_colour(self, points):
        return self.density(points), torch.zeros(len(points), 3)


NOTHING = Looked(torch.ones(16, 3, 64, 64), torch.zeros(16, 64, 64))
"""Views that no member of a family fits, so that its plainest object stands for the truth."""


@pytest.mark.parametrize("how", [{}, {"degrees": 45.0}, {"size": 0.8}])
def test_the_true_object_is_near_at_any_turn_and_size_and_another_is_far(how):
    mug = Solid("mug", **how)
    near, far = (best_chamfer(mug, f"a red {name}", NOTHING) for name in ("mug", "cactus"))
    assert near < 0.04 < 2 * near < far


def test_what_has_no_surface_is_a_point():
    fog = Solid("mug")
    fog.density = lambda points: torch.ones(len(points))
    assert best_chamfer(None, "a red mug", NOTHING) == best_chamfer(fog, "a mug", NOTHING) > 0.3


def test_an_object_of_other_proportions_is_as_near_to_the_member_it_is():
    member = Member(shape=(0.9, -0.9, 0.9, -0.9))
    drawn = WorldScene("mug", "red", "plain", stretch=1.1, member=member)
    cameras = [WorldCamera(azimuth, ELEVATION) for azimuth in AZIMUTHS]
    images, covers = rendered(drawn, cameras, pixels=64)
    looked = Looked(torch.from_numpy(images).movedim(-1, 1), torch.from_numpy(covers))
    solid = Solid("mug", of=drawn)
    own = best_chamfer(solid, "a red mug", looked)
    assert own < 0.04
    assert best_chamfer(solid, "a red mug", NOTHING) > 1.5 * own
