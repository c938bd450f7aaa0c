import pytest
import torch

from sdilib.seeds import generator, normal, uniform


def draw(*address) -> torch.Tensor:
    return torch.randn(4, generator=generator(*address))


def test_an_address_names_one_stream():
    torch.testing.assert_close(draw(1, 2, "x", 3), draw(1, 2, "x", 3), rtol=0, atol=0)


@pytest.mark.parametrize("other", [(0, 2, "x", 3), (1, 0, "x", 3), (1, 2, "y", 3), (1, 2, "x", 0)])
def test_each_part_of_an_address_counts(other):
    assert not torch.equal(draw(1, 2, "x", 3), draw(*other))


def test_the_parts_of_an_address_do_not_run_together():
    assert not torch.equal(draw(1, 12, "x", 0), draw(11, 2, "x", 0))


def test_an_address_names_the_same_stream_in_every_version():
    # Stored runs depend on it.
    drawn = torch.randint(2**31, (3,), generator=generator(0, 137, "guidance", 2))
    assert drawn.tolist() == [1753482888, 915203931, 2126381106]


def test_an_item_draws_what_it_would_draw_alone():
    like = torch.zeros(3, 2, 2)
    together = normal(like, [generator(0, 0, "x", i) for i in range(3)])
    for i in range(3):
        alone = normal(like[:1], [generator(0, 0, "x", i)])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=0)
    together = uniform(3, [generator(0, 0, "x", i) for i in range(3)])
    alone = uniform(1, [generator(0, 0, "x", 2)])
    torch.testing.assert_close(together[2:], alone, rtol=0, atol=0)


def test_normal_takes_shape_and_type_and_is_standard_normal():
    drawn = normal(torch.zeros(100, 1000, dtype=torch.float64), generator(0, 0, "moments"))
    assert drawn.shape == (100, 1000)
    assert drawn.dtype == torch.float64
    # 1e5 numbers: mean ± 0.0032, deviation ± 0.0022; five times that.
    assert abs(float(drawn.mean())) < 0.016
    assert abs(float(drawn.std()) - 1) < 0.011


def test_uniform_fills_the_unit_interval():
    drawn = uniform(10_000, generator(0, 0, "moments"))
    assert drawn.dtype == torch.float64
    assert 0 <= float(drawn.min()) < 0.01
    assert 0.99 < float(drawn.max()) < 1
