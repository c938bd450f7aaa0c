"""The mixture is exact, and what DDIM and its inversion make of it is what mathematics says."""

from itertools import pairwise

import torch
from scipy import stats
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from sdilib.inversion import FixedPoint, GradientDescent, full_kappa, invert, residual
from sdilib.oracle import GaussianMixture
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.seeds import generator as generator_at
from sdilib.seeds import normal


def density(mixture: GaussianMixture, t: float, components: list[int]) -> MixtureSameFamily:
    """The noised mixture by torch's own distributions, the slow and obvious way."""
    alpha = mixture.schedule.alpha_cumprod(t)
    means = mixture.means[components].flatten(1)
    variances = alpha * mixture.stds[components] ** 2 + 1 - alpha
    covariances = variances[:, None, None] * torch.eye(means.shape[1], dtype=torch.float64)
    return MixtureSameFamily(
        Categorical(mixture.weights[components]),
        MultivariateNormal(alpha.sqrt() * means, covariance_matrix=covariances),
    )


def test_eps_is_the_scaled_score_by_autograd(oracle, generator):
    for t in (0.03, 0.4, 1.0):
        for components in ([0, 1, 2], [0, 2], [1]):
            x_t = torch.randn(6, 4, 2, 2, dtype=torch.float64, generator=generator)
            variable = x_t.flatten(1).requires_grad_()
            (score,) = torch.autograd.grad(
                density(oracle, t, components).log_prob(variable).sum(), variable
            )
            expected = -((1 - oracle.schedule.alpha_cumprod(t)) ** 0.5) * score
            eps = oracle.guided(oracle.prompt([components] * 6), 1.0)(x_t, t)
            # float64 through a softmax of differences of about 1e2.
            torch.testing.assert_close(eps.flatten(1), expected, rtol=1e-9, atol=1e-10)


def test_log_density_is_torchs_up_to_a_constant(oracle, generator):
    x_t = torch.randn(6, 4, 2, 2, dtype=torch.float64, generator=generator)
    ours = oracle.log_density(x_t, 0.3, oracle.prompt([[0, 1, 2]] * 6).conditional)
    theirs = density(oracle, 0.3, [0, 1, 2]).log_prob(x_t.flatten(1))
    torch.testing.assert_close(ours - ours[0], theirs - theirs[0])


def test_guidance_is_equation_3_of_exact_scores(oracle, generator):
    x_t = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    prompt = oracle.prompt([[0], [1], [2]])
    e_y, e_0 = (oracle.guided(prompt, gamma)(x_t, t) for gamma in (1.0, 0.0))
    for gamma in (-7.5, 7.5):
        torch.testing.assert_close(oracle.guided(prompt, gamma)(x_t, t), e_0 + gamma * (e_y - e_0))


def test_sampling_from_the_exact_marginal_recovers_weights_and_means(planar):
    # Start at p_1, not at N(0, I): sqrt(alpha) at t = 1 is 0.068, and N(0, I) would give
    # .49/.32/.19, which this test sees (chi² about 40). A false alarm at a fresh seed: 1e-4 for the
    # weights plus 6 · 1e-5 for the means; 100 steps shift a share by less than 0.001.
    count, generator = 10_000, generator_at(0, 0, "exact marginal")
    labels = torch.multinomial(planar.weights, count, replacement=True, generator=generator)
    noise = torch.randn(count, 2, 2, dtype=torch.float64, generator=generator)
    denoise = planar.guided(planar.prompt([[0, 1, 2]] * count), 1.0)
    *_, last = ddim(planar.sample(labels, 1.0, noise), denoise, times=time_grid(100))
    nearest = torch.cdist(last.x_next, planar.means).argmin(1)
    found = nearest.bincount(minlength=3)
    assert stats.chisquare(found.numpy(), (planar.weights * count).numpy()).pvalue > 1e-4
    for k in range(3):
        points = last.x_next[nearest == k]
        off = (points.mean(0) - planar.means[k]) / (0.3 / len(points) ** 0.5)
        assert float(off.abs().max()) < stats.norm.isf(0.5e-5)


def there_and_back(mixture: GaussianMixture, n: int) -> float:
    x0 = mixture.sample(
        torch.tensor([0, 1, 2] * 4),
        0.0,
        normal(torch.zeros(12, 2, 2).double(), generator_at(0, 0, "x0")),
    )
    denoise = mixture.guided(mixture.prompt([[0, 1, 2]] * 12), 1.0)
    *_, up = invert(x0, denoise, t=1.0, num_inversion_steps=n)
    *_, down = ddim(up.x_next, denoise, times=time_grid(n))
    return float((down.x_next - x0).square().mean().sqrt())


def test_inversion_then_sampling_returns_the_point_with_first_order(planar):
    errors = [there_and_back(planar, n) for n in (80, 160, 320)]
    # Order 1 halves the error when the steps double; at these n it has nearly set in.
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(1.5 < ratio < 2.5 for ratio in ratios), (errors, ratios)
    assert errors[-1] < 0.02


def blob(std: float = 0.5) -> GaussianMixture:
    """One Gaussian: eps is linear in x_t, and eq. 8 is solved in closed form."""
    mean = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    return GaussianMixture(mean, std * one, one)


def solution(mixture: GaussianMixture, x0: torch.Tensor, t: float) -> tuple[torch.Tensor, float]:
    """Eq. 8's exact solution and the factor q of its iteration.

    With v = alpha std² + 1 - alpha, eps = sqrt(1 - alpha) (x_t - sqrt(alpha) m) / v, so
    kappa -> q kappa + sqrt(alpha (1 - alpha)) (x0 - m) / v with q = (1 - alpha) / v < 1,
    and the fixed point is kappa* = sigma (x0 - m) / std².
    """
    alpha = mixture.schedule.alpha_cumprod(t)
    std = mixture.stds[0]
    q = (1 - alpha) / (alpha * std**2 + 1 - alpha)
    return mixture.schedule.sigma(t) * (x0 - mixture.means) / std**2, float(q)


def test_the_closed_form_solves_equation_8(generator):
    mixture = blob()
    x0 = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    denoise = mixture.guided(mixture.prompt([[0]] * 3))
    for t in (0.2, 0.6, 1.0):
        kappa, _ = solution(mixture, x0, t)
        left = residual(x0, kappa, t=t, denoise=denoise)
        assert float(left.max()) < 1e-9


def test_fixed_point_iteration_converges_by_its_known_factor(generator):
    mixture = blob()
    x0 = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    denoise = mixture.guided(mixture.prompt([[0]] * 3))
    for t in (0.2, 0.6, 1.0):
        times = torch.full((3,), t, dtype=torch.float64)
        exact, q = solution(mixture, x0, t)
        start = normal(x0, generator_at(0, 0, "kappa")) - exact
        for n in (1, 10):
            found = FixedPoint(n)(x0, times, denoise, generator_at(0, 0, "kappa")).noise
            torch.testing.assert_close(found - exact, q**n * start, rtol=1e-6, atol=1e-9)


def test_gradient_descent_converges_by_its_known_factor(generator):
    # The residual is (1 - q)(kappa - kappa*), so a step multiplies the error by 1 - rate (1 - q)².
    mixture = blob()
    x0 = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    denoise = mixture.guided(mixture.prompt([[0]] * 3))
    for t in (0.2, 0.6):
        times = torch.full((3,), t, dtype=torch.float64)
        exact, q = solution(mixture, x0, t)
        start = normal(x0, generator_at(0, 0, "kappa")) - exact
        found = GradientDescent(10, 0.3)(x0, times, denoise, generator_at(0, 0, "kappa")).noise
        factor = (1 - 0.3 * (1 - q) ** 2) ** 10
        torch.testing.assert_close(found - exact, factor * start, rtol=1e-6, atol=1e-9)


def test_inversion_tends_to_the_ode_and_not_to_equation_8(generator):
    # The ODE of one Gaussian is solved too: x_bar - m grows by sqrt(std² + sigma²) / std. Its full
    # kappa is not eq. 8's: a straight step back from x_bar does not end at x0, as the path is
    # curved. So with more steps the residual falls (or rises) to a known limit above zero.
    mixture, t = blob(), 0.5
    x0 = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    denoise = mixture.guided(mixture.prompt([[0]] * 3))
    exact, q = solution(mixture, x0, t)
    sigma, std = mixture.schedule.sigma(t), mixture.stds[0]
    limit = ((std**2 + sigma**2).sqrt() / std - 1) / sigma * (x0 - mixture.means)
    left = sigma * (1 - q) * (limit - exact).square().mean(1).sqrt()
    torch.testing.assert_close(residual(x0, limit, t=t, denoise=denoise), left)
    wrong, off = [], []
    for n in (20, 40, 80, 160):
        *_, up = invert(x0, denoise, t=t, num_inversion_steps=n)
        kappa = full_kappa(x0, up.x_next, t=t, denoise=denoise)
        wrong.append(float((kappa - limit).abs().max()))
        off.append(float((residual(x0, kappa, t=t, denoise=denoise) - left).abs().max()))
    for errors in (wrong, off):
        ratios = [a / b for a, b in pairwise(errors)]
        assert all(1.6 < ratio < 2.1 for ratio in ratios), ratios  # first order
    assert off[-1] < 0.05 * float(left.min())
    assert float(left.min()) > 0.1
