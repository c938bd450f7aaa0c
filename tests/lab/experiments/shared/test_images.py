"""What is measured of images: known numbers of simple ones."""

import pytest
import torch
from made_up import generated

from sdilib.lab.experiments.shared.images import firsts, measures, seed_distance
from sdilib.lab.images import Generated


def of_level(level: float, count: int = 4) -> Generated:
    """Even grey images, with latents of that level."""
    images, latents = torch.full((count, 3, 4, 4), level), torch.full((count, 4, 2, 2), level)
    return generated(images, latents=latents, num_forwards=12.0, seconds=0.5)


def test_distances_are_from_ddims_image_and_latents():
    numbers = measures({"DDIM": of_level(0.5), "SDS": of_level(0.6), "same": of_level(0.5)})
    expected = torch.full((4,), 20.0)  # -10 log10(0.1²)
    closeness = numbers["PSNR to DDIM's image (dB)"]
    torch.testing.assert_close(closeness["SDS"], expected, rtol=1e-4, atol=0)
    assert closeness["same"].tolist() == [200.0] * 4
    assert list(closeness) == ["SDS", "same"]
    deviation = numbers["relative deviation of latents from DDIM's"]
    torch.testing.assert_close(deviation["SDS"], torch.full((4,), 0.2))
    assert numbers["fine detail"]["DDIM"].tolist() == [0.0] * 4
    assert numbers["cost"]["SDS"].tolist() == [12.0, 0.5]


def test_what_is_off_is_the_distance_to_ddims_number(generator):
    sets = {name: torch.rand(2, 3, 8, 8, generator=generator) for name in ("DDIM", "SDI")}
    numbers = measures({name: generated(each) for name, each in sets.items()})
    for measure in ("fine detail", "saturation"):
        of = numbers[measure]
        expected = (of["SDI"] - of["DDIM"]).abs()
        assert torch.equal(numbers[f"off DDIM's {measure}"]["SDI"], expected)


def test_the_first_image_of_each_of_eight_prompts_is_shown():
    prompts = [f"prompt {i}" for i in range(9) for _ in range(2)]
    images = torch.arange(18.0)[:, None, None, None].expand(-1, 3, 2, 2)
    shown, columns = firsts({"a": generated(images)}, prompts)
    assert columns == [f"prompt {i}" for i in range(8)]
    assert shown["a"][:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


def greys(*levels: float) -> torch.Tensor:
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, 8, 8)


def test_the_distance_of_greys_is_that_of_their_levels():
    # Pairs of 0.1, 0.4 and 0.5: all of |a - b| once.
    got = seed_distance(greys(0.2, 0.3, 0.7), ["a", "a", "a"])
    torch.testing.assert_close(got, torch.tensor([(0.1 + 0.4 + 0.5) / 3]))


def test_prompts_are_kept_apart_in_order_of_appearance():
    got = seed_distance(greys(0.2, 0.9, 0.2, 0.6), ["b", "a", "b", "a"])
    torch.testing.assert_close(got, torch.tensor([0.0, 0.3]))


def test_a_single_image_has_no_distance_to_others():
    with pytest.raises(ValueError, match="images of 'b'=1: expected at least 2, one per seed"):
        seed_distance(greys(0.2, 0.9, 0.2), ["a", "b", "a"])


def test_grain_does_not_count_and_shape_does():
    board = 0.5 + 0.5 * (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    grain = torch.stack([board, 1 - board])[:, None].expand(-1, 3, -1, -1)
    assert float(seed_distance(grain, ["a", "a"])) < 1e-6
    left = (torch.arange(16) < 8).float().expand(1, 3, 16, -1)
    torch.testing.assert_close(
        seed_distance(torch.cat([left, 1 - left]), ["a", "a"]), torch.ones(1)
    )


def test_values_outside_the_range_of_images_are_clamped():
    torch.testing.assert_close(seed_distance(greys(-3.0, 7.0), ["a", "a"]), torch.ones(1))
