import pytest
import torch
from made_up import draws

from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import ISM, MVSDI, PFD, SDI, SDS, Update, View
from sdilib.guidance.base import WEIGHTS
from sdilib.inversion import DDIMInversion, RandomNoise, invert
from sdilib.sampling import ddim
from sdilib.schedule import NoiseSchedule, time_grid


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("gamma", [1.0, 7.5, 100.0])
def test_sdi_with_random_kappa_is_sds(gamma, weight, oracle, x0, view, times):
    sds = SDS(oracle, gamma, weight=weight)(x0, times, view, draws())
    sdi = SDI(oracle, gamma, kappa=RandomNoise(), weight=weight)(x0, times, view, draws())
    assert torch.equal(sdi.gradient, sds.gradient)
    assert torch.equal(sdi.denoised, sds.denoised)
    assert sdi.num_forwards == sds.num_forwards


@pytest.mark.parametrize("rule", [SDS, SDI])
def test_to_denoise_and_regress_is_to_subtract_the_guidance(rule, oracle, x0, times, view):
    update = rule(oracle)(x0, times, view, draws())  # w = sigma
    torch.testing.assert_close(update.target, update.denoised)


def test_sds_is_equation_4(oracle, x0, view, times):
    update = SDS(oracle, 7.5)(x0, times, view, draws())
    schedule = oracle.schedule
    alpha = schedule.alpha_cumprod(times).reshape(-1, 1, 1, 1)
    noise = torch.stack([torch.randn(4, 2, 2, dtype=torch.float64, generator=g) for g in draws()])
    eps = oracle.guided(view.prompt, 7.5)(alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise, times)
    torch.testing.assert_close(update.gradient, ((1 - alpha) / alpha).sqrt() * (eps - noise))


def test_ism_with_one_interval_is_sdi_with_the_empty_prompts_inversion(
    oracle, tiny64, generator, times
):
    for model, prompt, shape in (
        (oracle, oracle.prompt([[0], [1], [2]]), (4, 2, 2)),
        (tiny64, tiny64.embed(["a mug", "a rocket", "a cactus"]), tiny64.latent_shape),
    ):
        x0 = torch.randn(3, *shape, dtype=torch.float64, generator=generator)
        kappa = DDIMInversion(guidance_scale=0.0, num_inversion_steps=1)
        sdi = SDI(model, 7.5, kappa=kappa)(x0, times, View(prompt), draws())
        ism = ISM(model, 7.5, num_inversion_steps=1)(x0, times, View(prompt), draws())
        torch.testing.assert_close(ism.gradient, sdi.gradient, rtol=1e-8, atol=1e-8)


def test_ism_subtracts_the_last_intervals_prediction_at_the_inversions_end(oracle, x0, view, times):
    update = ISM(oracle, 7.5)(x0, times, view, draws())
    for i in range(3):
        one = torch.tensor([i])
        empty = oracle.guided(view.prompt.select(one), 0.0)
        *_, last = invert(x0[one], empty, t=times[one])
        sigma = oracle.schedule.sigma(times[one]).reshape(-1, 1, 1, 1)
        subtracted = update.eps[one] - update.gradient[one] / sigma
        torch.testing.assert_close(subtracted, last.eps)
        eps = oracle.guided(view.prompt.select(one), 7.5)(last.x_next, times[one])
        torch.testing.assert_close(update.eps[one], eps)


def test_ism_with_the_full_kappa_is_sdi_and_its_own_form_is_not(oracle, x0, view):
    # From the same prediction at the same noisy image they subtract another noise.
    t = torch.full((3,), 0.6, dtype=torch.float64)
    ism = ISM(oracle, 7.5)(x0, t, view, draws())
    sdi = SDI(oracle, 7.5, kappa=DDIMInversion(guidance_scale=0.0))(x0, t, view, draws())
    for name in ("kappa", "eps", "denoised", "residual"):
        torch.testing.assert_close(getattr(ism, name), getattr(sdi, name))
    assert float((ism.gradient - sdi.gradient).abs().max()) > 0.1


def test_the_published_variant_is_ours_where_tau_is_zero(oracle, x0, view, times):
    ours, published = (
        SDI(oracle, renoise=renoise)(x0, times, view, draws()) for renoise in (True, False)
    )
    torch.testing.assert_close(published.gradient, ours.gradient, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(published.kappa, ours.kappa, rtol=1e-8, atol=1e-8)


def test_the_published_variant_damps_the_image_and_ours_does_not(scripted, rows, x0):
    # A denoiser that finds no noise: ours returns the image, the other takes the inversion's end at
    # t + tau for one at t, so that its image is sqrt(alpha(t + tau) / alpha(t)) of it.
    denoiser = scripted(lambda x_t, t, condition: torch.zeros_like(x_t))
    schedule, kappa = denoiser.schedule, DDIMInversion(tau_max=0.1)
    t = torch.tensor([0.8, 0.6, 0.25], dtype=torch.float64)
    view, denoise = View(rows(3)), GuidedDenoiser(denoiser, rows(3), 7.5)
    ours, published = (
        SDI(denoiser, kappa=kappa, renoise=renoise)(x0, t, view, draws())
        for renoise in (True, False)
    )
    torch.testing.assert_close(ours.denoised, x0)
    ends = kappa(x0, t, denoise, draws()).t
    scale = (schedule.alpha_cumprod(ends) / schedule.alpha_cumprod(t)).sqrt()
    torch.testing.assert_close(published.denoised, scale.reshape(-1, 1, 1, 1) * x0)
    assert bool((scale < 0.99).all())


def test_no_grain_is_left_at_small_t_whatever_tau_is(scripted, rows, x0):
    # A denoiser that finds the same noise everywhere: inversion, noising and denoising must agree
    # on its level. The published code leaves up to 0.2 of it at t = 0.02.
    noise = torch.ones_like(x0)
    denoiser = scripted(lambda x_t, t, condition: noise)
    t = torch.full((3,), 0.021, dtype=torch.float64)
    for renoise in (True, False):
        rule = SDI(denoiser, kappa=DDIMInversion(tau_max=0.1), renoise=renoise)
        left = (rule(x0, t, View(rows(3)), draws()).denoised - x0).abs().max()
        assert (float(left) < 1e-12) is renoise


def test_kappa_is_used_the_image_is_noised_with_it_to_t(scripted, rows, x0, times):
    denoiser = scripted(lambda x_t, t, condition: 0.1 * x_t)
    rule = SDI(denoiser, kappa=DDIMInversion(tau_max=1 / 30, entropy=0.3))
    update = rule(x0, times, View(rows(3)), draws())
    x_t, t = denoiser.asked[-1]
    torch.testing.assert_close(t, times)
    torch.testing.assert_close(x_t, denoiser.schedule.add_noise(x0, update.kappa, times))


def test_an_update_from_noises_is_linear_in_their_difference(generator):
    x0, kappa, eps, other = torch.randn(4, 2, 4, dtype=torch.float64, generator=generator)
    schedule, t = NoiseSchedule.scaled_linear(), torch.tensor([0.9, 0.2], dtype=torch.float64)
    sigma, alpha = (of(t)[:, None] for of in (schedule.sigma, schedule.alpha_cumprod))
    noises = {"kappa": kappa, "eps": eps, "schedule": schedule, "num_forwards": 5}
    for name, weight in {"sigma": sigma, "1-alpha": 1 - alpha, "1": 1.0}.items():
        update = Update.from_noises(x0, t, **noises, weight=name)
        torch.testing.assert_close(update.gradient, weight * (eps - kappa))
        torch.testing.assert_close(update.target, x0 - update.gradient)
        torch.testing.assert_close(update.denoised, x0 - sigma * (eps - kappa))
        root = (eps - kappa).square().mean(1).sqrt()
        torch.testing.assert_close(update.residual, sigma[:, 0] * root)
        assert (update.num_forwards, update.image_gradient) == (5, None)
        # Another noise subtracted changes the gradient alone.
        moved = Update.from_noises(x0, t, **noises, weight=name, along=eps - other)
        torch.testing.assert_close(moved.gradient, weight * (eps - other))
        torch.testing.assert_close(moved.denoised, update.denoised)
        torch.testing.assert_close(moved.residual, update.residual)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_pfd_with_one_step_back_is_sdi(weight, oracle, x0, view, times):
    kappa = DDIMInversion(-6.5, 10)
    sdi = SDI(oracle, 7.5, kappa=kappa, weight=weight)(x0, times, view, draws())
    pfd = PFD(oracle, 7.5, num_denoising_steps=1, weight=weight)(x0, times, view, draws())
    for name in ("gradient", "kappa", "eps", "residual"):
        torch.testing.assert_close(getattr(pfd, name), getattr(sdi, name), rtol=1e-8, atol=1e-8)
    assert pfd.num_forwards == sdi.num_forwards


def test_pfds_target_is_ddims_sample_from_the_inversions_end(oracle, x0, view, times):
    # w = sigma, a plain step: x0 becomes what DDIM makes of the inverted image, item by item.
    update = PFD(oracle, 7.5, num_denoising_steps=8)(x0, times, view, draws())
    for i, t in enumerate(times.tolist()):
        one = torch.tensor([i])
        denoise = oracle.guided(view.prompt.select(one), 7.5)
        x_t = oracle.schedule.add_noise(x0[one], update.kappa[one], t)
        *_, last = ddim(x_t, denoise, times=time_grid(max(1, int(8 * t)), t, 0.0))
        torch.testing.assert_close(update.target[one], last.x_next, rtol=1e-8, atol=1e-8)


def test_pfds_unguided_round_trip_returns_the_point_and_sdis_does_not(planar):
    # gamma = gamma_inv = 1: the inversion and the way back follow one ODE, to the order of their steps.
    x0 = torch.tensor([[-2.2, 0.1], [1.4, 1.7]], dtype=torch.float64)
    t, view = torch.full((2,), 0.9, dtype=torch.float64), View(planar.prompt([[0, 1, 2]] * 2))
    same = {"inversion_guidance_scale": 1.0, "num_inversion_steps": 400}
    pfd = PFD(planar, 1.0, **same, num_denoising_steps=400)(x0, t, view, draws()[:2])
    sdi = PFD(planar, 1.0, **same, num_denoising_steps=1)(x0, t, view, draws()[:2])
    assert float((pfd.target - x0).abs().max()) < 0.05
    assert float((sdi.target - x0).abs().max()) > 0.3


def test_mv_sdi_is_sdi_that_asks_for_opposite_views(oracle, x0, view, times):
    mv, sdi = (rule(oracle)(x0, times, view, draws()) for rule in (MVSDI, SDI))
    assert torch.equal(mv.gradient, sdi.gradient)
    assert MVSDI.antipodal
    assert not getattr(SDI, "antipodal", False)
