import pytest
import torch

from sdilib import inversion
from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import SDI, View
from sdilib.inversion import (
    Cached,
    DDIMInversion,
    FixedNoise,
    FixedPoint,
    GradientDescent,
    Kappa,
    KappaChoice,
    RandomNoise,
    full_kappa,
    invert,
    residual,
    unit_deviation,
)
from sdilib.sampling import ddim_step
from sdilib.seeds import generator as generator_at
from sdilib.seeds import normal

TIMES = torch.tensor([1.0, 0.52, 0.13], dtype=torch.float64)


def each(step: int = 0) -> list[torch.Generator]:
    return [generator_at(0, step, "kappa", item) for item in range(3)]


@pytest.fixture
def x0(generator) -> torch.Tensor:
    return torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)


@pytest.fixture
def denoise(oracle) -> GuidedDenoiser:
    return oracle.guided(oracle.prompt([[0], [1], [2]]), 7.5)


def test_the_full_kappa_takes_x0_to_the_inversions_end(x0, denoise):
    *_, last = invert(x0, denoise, t=TIMES)
    kappa = full_kappa(x0, last.x_next, t=TIMES, denoise=denoise)
    torch.testing.assert_close(denoise.schedule.add_noise(x0, kappa, TIMES), last.x_next)


def test_the_full_kappa_is_the_mean_prediction_weighted_by_the_steps_in_sigma(x0, denoise):
    # Telescoping eq. 2: sigma(t) kappa = Σ eps_i (sigma_{i+1} - sigma_i); the last eps alone is ISM.
    sigma, total = denoise.schedule.sigma, torch.zeros_like(x0)
    for step in invert(x0, denoise, t=0.8):
        total += (sigma(step.t_next) - sigma(step.t)).reshape(-1, 1, 1, 1) * step.eps
    kappa = full_kappa(x0, step.x_next, t=0.8, denoise=denoise)
    torch.testing.assert_close(kappa, total / sigma(0.8))
    assert not torch.allclose(kappa, step.eps, rtol=0.1)


def test_each_interval_is_evaluated_at_its_source_and_never_outside_the_range(scripted, rows):
    # The published code's first call is at t = -0.099; diffusers evaluates at the destination.
    denoiser = scripted(lambda x_t, t, condition: torch.ones_like(x_t))
    list(invert(torch.zeros(1, 3), GuidedDenoiser(denoiser, rows(1), 1.0), t=0.5))
    times = torch.cat([t for _, t in denoiser.asked])
    torch.testing.assert_close(times, torch.arange(5).double() / 10)
    assert float(denoiser.schedule.timestep(times).min()) >= 0


def test_inversion_makes_int_n_t_steps_for_each_item_and_at_least_one(scripted, rows):
    denoiser = scripted(lambda x_t, t, condition: torch.ones_like(x_t))
    t = torch.tensor([1.0, 1 - 0.8, 0.59, 0.01], dtype=torch.float64)
    steps = list(invert(torch.zeros(4, 3), GuidedDenoiser(denoiser, rows(4), 1.0), t=t))
    made = torch.cat([step.items for step in steps]).bincount()
    assert made.tolist() == [10, 2, 5, 1]
    assert denoiser.num_forwards == 10 + 2 + 5 + 1
    torch.testing.assert_close(steps[-1].t_next[0], t[0])


def test_items_that_are_done_stay_where_they_are(x0, denoise):
    steps = list(invert(x0, denoise, t=TIMES))
    for item, count in enumerate((10, 5, 1)):
        for step in steps[count:]:
            assert torch.equal(step.x_next[item], steps[count - 1].x_next[item])


CHOICES = {
    "random": RandomNoise,
    "fixed": FixedNoise,
    "cached": Cached,
    "fixed point": FixedPoint,
    "descent": GradientDescent,
    "inversion": DDIMInversion,
    "inversion at 0": lambda: DDIMInversion(guidance_scale=0.0, num_inversion_steps=7),
    "inversion, tau, entropy": lambda: DDIMInversion(tau_max=1 / 30, entropy=0.3, unit=True),
    "inversion, begun later": lambda: DDIMInversion(inversion_start=0.3),
}


@pytest.mark.parametrize("make", CHOICES.values(), ids=CHOICES)
def test_an_item_gets_the_kappa_it_would_get_alone(make, x0, denoise):
    together = make()
    alone = [make() for _ in range(3)]
    for step in range(2):
        kappa = together(x0, TIMES, denoise, each(step))
        together.observe(kappa.noise)
        for i in range(3):
            one = torch.tensor([i])
            single = alone[i](x0[one], TIMES[one], denoise.select(one), [each(step)[i]])
            alone[i].observe(single.noise)
            # float64 on the mixture: the same sums in another order.
            torch.testing.assert_close(kappa.noise[one], single.noise, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(kappa.eps_last[one], single.eps_last, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(kappa.t[one], single.t)


@pytest.mark.parametrize("make", CHOICES.values(), ids=CHOICES)
def test_an_item_gets_alone_what_it_gets_in_the_tiny_models_batch(make, tiny64, generator):
    # float64: convolutions of another batch size differ in their last bits, and ten calls at
    # gamma = 7.5 carry that on ten-thousandfold. (In float32 it is 1e-6 a call.)
    prompt = tiny64.embed(["a red mug", "a blue rocket", "a cactus"])
    denoise = tiny64.guided(prompt, 7.5)
    x0 = torch.randn(3, *tiny64.latent_shape, dtype=torch.float64, generator=generator)
    together = make()(x0, TIMES, denoise, each()).noise
    for i in range(3):
        one = torch.tensor([i])
        alone = make()(x0[one], TIMES[one], denoise.select(one), [each()[i]]).noise
        torch.testing.assert_close(together[one], alone, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", CHOICES.values(), ids=CHOICES)
def test_a_choice_resumes_from_its_state(make, x0, denoise):
    first = make()
    first.observe(first(x0, TIMES, denoise, each(0)).noise + 1)
    second = make()
    second.load_state_dict(first.state_dict())
    assert torch.equal(
        first(x0, TIMES, denoise, each(1)).noise, second(x0, TIMES, denoise, each(1)).noise
    )


@pytest.mark.parametrize("make", CHOICES.values(), ids=CHOICES)
def test_the_same_generators_give_the_same_bits_and_no_graph(make, x0, denoise):
    one, two = (make()(x0, TIMES, denoise, each()) for _ in range(2))
    assert torch.equal(one.noise, two.noise)
    assert not one.noise.requires_grad


def test_random_noise_is_new_at_each_update_and_fixed_noise_is_not(x0, denoise):
    for choice, same in ((RandomNoise(), False), (FixedNoise(), True)):
        noises = [choice(x0, TIMES, denoise, each(step)).noise for step in range(2)]
        assert torch.equal(*noises) is same
    assert torch.equal(noises[0], normal(x0, each(0)))


def test_cached_gives_back_what_it_was_shown(x0, denoise):
    choice = Cached(x0)
    assert choice(x0, TIMES, denoise, each()).noise is x0
    choice.observe(2 * x0)
    torch.testing.assert_close(choice(x0, TIMES, denoise, each()).noise, 2 * x0)


def test_residual_is_zero_for_a_noise_the_denoiser_finds(scripted, rows, x0):
    denoise = GuidedDenoiser(
        scripted(lambda x_t, t, condition: 3 * torch.ones_like(x_t)), rows(3), 1.0
    )
    right = torch.full_like(x0, 3.0)
    torch.testing.assert_close(
        residual(x0, right, t=TIMES, denoise=denoise), torch.zeros(3, dtype=torch.float64)
    )
    # Off by 2 in half of the elements: root mean square 2/sqrt(2), in units of x0.
    wrong = right.clone()
    wrong[:, :2] += 2
    torch.testing.assert_close(
        residual(x0, wrong, t=TIMES, denoise=denoise), denoise.schedule.sigma(TIMES) * 2**0.5
    )


def test_fixed_point_iterates_equation_8_from_noise(x0, denoise):
    noise = normal(x0, each())
    for _ in range(3):
        noise = denoise(denoise.schedule.add_noise(x0, noise, TIMES), TIMES)
    torch.testing.assert_close(FixedPoint(3)(x0, TIMES, denoise, each()).noise, noise)


def test_descent_lowers_the_residual_through_the_denoiser(x0, oracle):
    denoise = oracle.guided(oracle.prompt([[0], [1], [2]]), 1.0)
    start = residual(x0, normal(x0, each()), t=TIMES, denoise=denoise)
    found = GradientDescent()(x0, TIMES, denoise, each())
    assert bool((residual(x0, found.noise, t=TIMES, denoise=denoise) < start).all())


def test_descent_in_parts_is_descent_at_once(x0, denoise, monkeypatch):
    whole = GradientDescent()(x0, TIMES, denoise, each()).noise
    monkeypatch.setattr(inversion, "_DIFFERENTIATED", 2 * x0[0].numel())
    sizes, inner = [], GradientDescent._descended
    monkeypatch.setattr(
        GradientDescent,
        "_descended",
        lambda self, x0, *rest: sizes.append(len(x0)) or inner(self, x0, *rest),
    )
    parts = GradientDescent()(x0, TIMES, denoise, each()).noise
    assert sizes == [2, 1]
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-9)


def test_entropy_is_added_once_at_the_end_and_off_by_default(x0, denoise):
    # The published code adds noise at each step, where it enters the network.
    plain = DDIMInversion()(x0, TIMES, denoise, each())
    noisy = DDIMInversion(entropy=0.3)(x0, TIMES, denoise, each())
    deviation = 0.3 * (1 - denoise.schedule.alpha_cumprod(TIMES)).sqrt()
    added = deviation.reshape(-1, 1, 1, 1) * normal(x0, each())
    torch.testing.assert_close(noisy.noise - plain.noise, added)
    torch.testing.assert_close(noisy.eps_last, plain.eps_last)
    *_, last = invert(
        x0, GuidedDenoiser(denoise.denoiser, denoise.prompt, -7.5), t=TIMES, num_inversion_steps=10
    )
    torch.testing.assert_close(plain.noise, full_kappa(x0, last.x_next, t=TIMES, denoise=denoise))


def test_tau_is_uniform_capped_and_off_by_default(scripted, rows):
    denoise = GuidedDenoiser(scripted(lambda x_t, t, c: torch.zeros_like(x_t)), rows(1000), 1.0)
    x0, t = torch.zeros(1000, 1), torch.full((1000,), 0.5, dtype=torch.float64)
    assert torch.equal(DDIMInversion()(x0, t, denoise, generator_at(0, 0, "tau")).t, t)
    tau = DDIMInversion(tau_max=1 / 30)(x0, t, denoise, generator_at(0, 0, "tau")).t - t
    assert 0 <= float(tau.min()) < 0.001
    assert 1 / 30 - 0.001 < float(tau.max()) <= 1 / 30
    # Uniform: mean 1/60 ± 0.0003; five times that.
    assert float(tau.mean()) == pytest.approx(1 / 60, abs=0.0015)
    late = DDIMInversion(tau_max=0.5)(x0, t + 0.4, denoise, generator_at(0, 0, "tau")).t
    assert float(late.max()) == 1


def test_an_inversion_that_starts_at_0_or_just_above_is_the_papers(x0, denoise):
    paper = DDIMInversion()(x0, TIMES, denoise, each())
    same = DDIMInversion(inversion_start=0.0)(x0, TIMES, denoise, each())
    assert torch.equal(same.noise, paper.noise)
    # sigma(1e-9) is 3e-8: the noise drawn there is gone in what the inversion finds.
    just = DDIMInversion(inversion_start=1e-9)(x0, TIMES, denoise, each())
    torch.testing.assert_close(just.noise, paper.noise, rtol=1e-4, atol=1e-4)
    assert not torch.equal(just.noise, paper.noise)


@pytest.mark.parametrize("start", [0.52, 0.7, 1.0])
def test_an_inversion_that_starts_at_t_or_beyond_is_random_noise(start, x0, denoise):
    kappa = DDIMInversion(inversion_start=start)(x0, TIMES, denoise, each())
    noise = normal(x0, each())
    reached = TIMES <= start
    torch.testing.assert_close(kappa.noise[reached], noise[reached])
    assert torch.equal(kappa.eps_last[reached], noise[reached])
    assert not torch.isclose(kappa.noise, noise)[~reached].any()


def test_an_inversion_that_starts_later_makes_the_steps_that_are_left(scripted, rows):
    t = torch.tensor([1.0, 0.7, 0.59, 0.25, 0.2], dtype=torch.float64)
    for start, made in ((0.0, [10, 7, 5, 2, 2]), (0.2, [8, 5, 4, 1, 0]), (0.23, [8, 5, 4, 1, 0])):
        denoiser = scripted(lambda x_t, t, condition: torch.ones_like(x_t))
        choice = DDIMInversion(guidance_scale=1.0, inversion_start=start)
        choice(torch.zeros(5, 3), t, GuidedDenoiser(denoiser, rows(5), 1.0), generator_at(0, 0, ""))
        assert denoiser.num_forwards == sum(made)
        if (
            start
        ):  # each item's first step is from the start, the rest are those of an inversion from 0
            assert float(denoiser.asked[0][1].min()) >= 0.1
            times = torch.cat([asked for _, asked in denoiser.asked])
            assert int(((times - start).abs() < 1e-6).sum()) == sum(count > 0 for count in made)


def test_an_inversion_that_starts_later_goes_on_from_the_noised_image(x0, denoise):
    # On its own grid: 0.3 is a step of t = 0.5 and 1, so that the rest are plain Euler steps.
    t = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64)
    kappa = DDIMInversion(guidance_scale=1.0, inversion_start=0.3)(x0, t, denoise, each())
    inverse = GuidedDenoiser(denoise.denoiser, denoise.prompt, 1.0)
    x_t = denoise.schedule.add_noise(x0, normal(x0, each()), 0.3)
    for now in (0.3, 0.4):
        eps = inverse(x_t, now)
        x_t = ddim_step(x_t, eps, t=now, t_next=now + 0.1, schedule=denoise.schedule)
    expected = full_kappa(x0, x_t, t=0.5, denoise=denoise)
    torch.testing.assert_close(kappa.noise[1:], expected[1:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(kappa.eps_last[1:], eps[1:], rtol=1e-5, atol=1e-5)


def test_negatives_do_not_enter_the_inversion(scripted, rows):
    # A negative gamma would attract them.
    # sin: each condition has a direction of its own.
    denoiser = scripted(lambda x_t, t, c: torch.sin(c[:, :1] * torch.arange(1, 4)) * x_t)
    x0, t = torch.ones(1, 3), torch.ones(1, dtype=torch.float64)
    with_negatives = GuidedDenoiser(denoiser, rows(1, (5.0,)), 7.5)
    without = GuidedDenoiser(denoiser, rows(1), 7.5)
    generator = generator_at(0, 0, "unused")
    torch.testing.assert_close(
        DDIMInversion()(x0, t, with_negatives, generator).noise,
        DDIMInversion()(x0, t, without, generator).noise,
    )
    before = denoiser.num_forwards
    DDIMInversion()(x0, t, with_negatives, generator)
    assert denoiser.num_forwards - before == 10 * 2
    entered = [
        list(invert(x0, GuidedDenoiser(denoiser, each.prompt, -7.5), t=t))[-1].x_next
        for each in (with_negatives, without)
    ]
    assert not torch.allclose(*entered, rtol=0.01)


def test_unit_deviation_is_item_by_item(x0):
    scaled = unit_deviation(x0 * torch.tensor([1.0, 10.0, 0.01]).reshape(-1, 1, 1, 1))
    torch.testing.assert_close(
        scaled.flatten(1).square().mean(1), torch.ones(3, dtype=torch.float64)
    )
    torch.testing.assert_close(scaled, unit_deviation(x0))
    torch.testing.assert_close(unit_deviation(0 * x0), 0 * x0)


@pytest.mark.parametrize("choice", [FixedNoise, Cached])
def test_a_restored_noise_follows_the_latents(choice, scripted, rows):
    """From a checkpoint it comes in another type, or from the CPU where the latents are on CUDA."""
    kappa, x0 = choice(), torch.zeros(1, 4, 2, 2, dtype=torch.float64)
    kappa.load_state_dict({"noise": torch.ones(1, 4, 2, 2)})
    denoise = GuidedDenoiser(scripted(lambda x, t, c: x), rows(1), 1.0)
    found = kappa(x0, torch.ones(1, dtype=torch.float64), denoise, generator_at(0, 0, "kappa"))
    assert found.noise.dtype == torch.float64


def test_the_cache_keeps_no_prediction_that_is_not_finite(x0, denoise):
    cached = Cached(torch.ones_like(x0))
    cached.observe(x0 / 0)
    assert torch.equal(cached(x0, TIMES, denoise, each()).noise, torch.ones_like(x0))


def test_a_choice_of_ones_own_only_has_to_be_callable(x0, denoise, oracle):
    class Zero(KappaChoice):
        def __call__(self, x0, t, denoise, generator):
            return Kappa(torch.zeros_like(x0), t, torch.zeros_like(x0))

    rule = SDI(oracle, kappa=Zero())
    update = rule(x0, TIMES, View(denoise.prompt), each())
    assert not update.kappa.any()
    assert rule.state_dict() == {}
