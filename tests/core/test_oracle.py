import pytest
import torch

from sdilib.oracle import GaussianMixture, Ring
from sdilib.seeds import generator as generator_at


def test_forwards_are_counted_by_sample_and_condition(oracle):
    oracle.guided(oracle.prompt([[0], [1]]), 7.5)(torch.zeros(2, 4, 2, 2), 0.5)
    assert oracle.num_forwards == 4


def test_a_prompt_restricts_the_mixture_and_keeps_relative_weights(oracle):
    prompt = oracle.prompt([[0, 2]])
    torch.testing.assert_close(
        prompt.conditional.softmax(1), torch.tensor([[5 / 7, 0, 2 / 7]], dtype=torch.float64)
    )
    torch.testing.assert_close(
        prompt.unconditional.softmax(1), torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    )


def test_weights_are_scaled_to_sum_to_one():
    mixture = GaussianMixture(torch.zeros(2, 1), torch.ones(2), torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(mixture.weights, torch.tensor([0.75, 0.25]))


def test_type_follows_the_points(oracle):
    denoise = oracle.guided(oracle.prompt([[0]]))
    assert denoise(torch.zeros(1, 4, 2, 2), 0.5).dtype == torch.float32
    assert denoise(torch.zeros(1, 4, 2, 2, dtype=torch.float64), 0.5).dtype == torch.float64


def test_a_single_point_is_denoised_to_itself_from_anywhere(generator):
    # Deviation 0: eps is (x - sqrt(a) m) / sqrt(1 - a), and so x0 = m.
    mean = torch.randn(1, 3, dtype=torch.float64, generator=generator)
    mixture = GaussianMixture(
        mean, torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    )
    x_t = 5 * torch.randn(4, 3, dtype=torch.float64, generator=generator)
    eps = mixture.guided(mixture.prompt([[0]] * 4))(x_t, 0.7)
    torch.testing.assert_close(mixture.schedule.denoised(x_t, eps, 0.7), mean.expand(4, -1))


def test_samples_have_the_marginals_moments(planar):
    each = 20_000
    labels = torch.full((each,), 1)
    noise = torch.randn(
        each, 2, 2, dtype=torch.float64, generator=generator_at(0, 0, "marginal moments")
    )
    for t in (0.0, 0.5, 1.0):
        x_t = planar.sample(labels, t, noise)
        alpha = planar.schedule.alpha_cumprod(t)
        # Standard errors of 1/sqrt(20000) = 0.7 % of the deviation; six times that.
        deviation = (alpha * 0.3**2 + 1 - alpha).sqrt()
        error = (x_t.mean(0) - alpha.sqrt() * planar.means[1]) / deviation
        assert float(error.abs().max()) < 0.042
        assert float((x_t.std(0) / deviation - 1).abs().max()) < 0.03


def test_an_index_that_does_not_exist_is_refused(oracle):
    with pytest.raises(
        ValueError, match=r"^components=\[3\]: expected at least one index from 0 to 2"
    ):
        oracle.prompt([[3]])


def test_points_without_width_are_their_own_samples_at_t_0():
    means = torch.tensor([[-1.0], [1.0]], dtype=torch.float64).reshape(2, 1, 1, 1)
    points = GaussianMixture(means, torch.zeros(2).double(), torch.ones(2).double())
    prompt = points.prompt([[0, 1], [0, 1]])
    eps = points.guided(prompt)(means, 0.0)
    assert torch.equal(eps, torch.zeros_like(means))
    assert bool(points.guided(prompt)(means, 0.5).isfinite().all())


def test_a_turn_of_the_ring_takes_its_windows_to_themselves():
    ring = Ring.of((1, 2, 5))
    first = ring.denoiser.means.flatten(1)
    for turn in range(0, Ring.POINTS, Ring.STRIDE):
        turned = ring.textures.roll(-turn, 1)[:, : Ring.WINDOW]
        off, nearest = torch.cdist(turned, first).min(1)
        assert float(off.max()) < 1e-6  # cdist's rounding
        assert len(nearest.unique()) == len(first)


def test_a_ring_has_the_amplitudes_it_names_and_a_prompt_its_class():
    ring = Ring.of(fine=0.5)
    waves = torch.fft.rfft(ring.textures).abs() * 2**0.5 / Ring.POINTS
    own = torch.tensor(ring.cycles)[ring.labels[:, 0]]
    torch.testing.assert_close(waves.gather(1, own[:, None])[:, 0], torch.ones(384).double())
    torch.testing.assert_close(waves[:, Ring.FINE_CYCLES], torch.full((384,), 0.5).double())
    share = ring.prompt(2, 1).conditional.softmax(1)[0]
    assert bool((share[ring.labels[:, 0] == 2] == share.max()).all())
    assert float(share[ring.labels[:, 0] == 2].sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cycles": (2, 12)}, r"^cycles=\[2, 12\]: expected integers below 12"),
        ({"cycles": (0, 2)}, r"^cycles=0: expected an integer of at least 1"),
        ({"fine": -0.1}, r"^fine=-0.1: expected a number of at least 0"),
        ({"std": -0.1}, r"^stds="),
    ],
)
def test_a_ring_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Ring.of(**settings)


def test_near_t_0_float32_is_float64_rounded():
    point = GaussianMixture(torch.zeros(1, 2), torch.zeros(1), torch.ones(1))
    x_t = torch.full((1, 2), 1e-3)
    eps = [point.guided(point.prompt([[0]]))(x, 1e-5) for x in (x_t, x_t.double())]
    torch.testing.assert_close(eps[0].double(), eps[1], rtol=1e-5, atol=0)
