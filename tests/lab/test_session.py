"""A run on its own thread: what may be done to it, what it shows, and that it ends."""

import gc
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch

from sdilib.guidance import SDI
from sdilib.inversion import Cached
from sdilib.lab.explorer.session import KAPPAS, RULES, Session, Settings, Snapshot, frames
from sdilib.lab.images import distilled_images
from sdilib.stable_diffusion import StableDiffusion

SHORT = Settings("a red mug", num_steps=4, num_inversion_steps=2)
LONG = replace(SHORT, kappa="random", num_steps=100_000)
LIMIT = 30.0  # seconds until a test that hangs is called a failure


@pytest.fixture
def session(tiny):
    made = Session(tiny)
    yield made
    made.close()
    assert sessions() == []


def sessions() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("sdilib")]


def until_step(session: Session, step: int) -> Snapshot:
    deadline = time.monotonic() + LIMIT
    while (seen := session.snapshot).step < step:
        assert time.monotonic() < deadline
        session.wait(seen, 1.0)
    return seen


def test_it_starts_pauses_goes_on_and_stops(session):
    assert session.snapshot.state == "idle"
    session.start(LONG)
    until_step(session, 3)
    session.pause()
    time.sleep(0.1)  # the step under way
    paused = session.snapshot
    assert paused.state == "paused"
    time.sleep(0.1)
    assert session.snapshot is paused
    session.resume()
    until_step(session, paused.step + 3)
    session.stop()
    stopped = session.snapshot
    assert stopped.state == "stopped"
    time.sleep(0.1)
    assert session.snapshot is stopped
    session.resume()
    assert session.snapshot.state == "stopped"


def test_a_paused_run_ends_with_the_image_of_an_unbroken_one(session):
    session.start(SHORT, pause_after=2)
    paused = session.wait(timeout=LIMIT)
    assert (paused.state, len(paused.t)) == ("paused", 2)
    session.resume()
    ended = session.wait(timeout=LIMIT)
    assert (ended.state, ended.step) == ("finished", 3)
    *_, last = frames(session.model, SHORT)
    assert torch.equal(ended.latents, last.render())


def test_a_new_start_cancels_the_run_before_it(session):
    session.start(LONG)
    until_step(session, 2)
    first = session._run
    session.start(SHORT)
    assert first.snapshot.state == "stopped"
    ended = session.wait(timeout=LIMIT)
    assert (ended.state, ended.settings) == ("finished", SHORT)
    assert not first.thread.is_alive()
    # What the cancelled run computed meanwhile is not counted: 2 to start, then inversion and step.
    assert ended.num_forwards == 2 + sum(
        s.update.num_forwards for s in frames(session.model, SHORT)
    )


def test_a_prompt_that_cannot_be_read_is_refused_and_the_run_goes_on(session):
    session.start(LONG)
    with pytest.raises(ValueError, match="prompt=' ': expected a text with at least one word"):
        session.start(replace(SHORT, prompt=" "))
    assert session.snapshot.state == "running"
    assert session.snapshot.settings is LONG


def test_what_fails_on_the_way_is_told_as_a_sentence(session):
    session.start(replace(SHORT, guidance_scale=1e30, kappa="random", num_steps=20))
    failed = session.wait(timeout=LIMIT)
    assert failed.state == "failed"
    assert "not finite" in failed.message


@pytest.mark.parametrize("paused", [False, True])
def test_close_and_forgetting_leave_no_thread(tiny, paused):
    for forget in (True, False):
        session = Session(tiny)
        session.start(LONG, pause_after=2 if paused else 0)
        until_step(session, 1)
        assert sessions() == ["sdilib session"]
        if forget:
            del session
            gc.collect()
        else:
            session.close()
        assert sessions() == []


def test_a_process_ends_though_a_run_goes_on():
    code = (
        "from sdilib.lab.explorer.session import *; from sdilib.stable_diffusion import StableDiffusion as S\n"
        "session = Session(S.from_pretrained('tiny'))\n"
        "session.start(Settings('a red mug', kappa='random', num_steps=1000000))\n"
        "session.wait(session.snapshot)\n"
        "print(session.snapshot.state)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "running\n", "")


def test_it_makes_the_image_that_distilled_images_makes(tiny):
    *_, last = frames(tiny, replace(SHORT, kappa="cached", guidance_scale=2.0))
    made = distilled_images(
        tiny,
        ["a red mug"],
        [0],
        rule=lambda m, eps: SDI(m, 2.0, Cached(eps)),
        num_steps=4,
    )
    assert torch.equal(last.render(), made.latents)


def each() -> list[Settings]:
    kappas = [replace(SHORT, kappa=kappa) for kappa in KAPPAS]
    rules = [replace(SHORT, rule=rule, guidance_scale=3.0) for rule in RULES]
    changed = replace(SHORT, rule="SDS", t_schedule="random", learning_rate=0.1, seed=7)
    return [*kappas, *rules, changed, replace(SHORT, prompt='a "red" mug\'s', kappa="fixed")]


@pytest.mark.parametrize("settings", each(), ids=str)
def test_the_code_makes_the_same_image(session, settings):
    names: dict = {}
    exec(settings.code("tiny"), names)
    session.start(settings)
    image, _ = session.images(session.wait(timeout=LIMIT))
    assert torch.equal(image, names["image"])


def test_every_setting_changes_the_code(tiny):
    # Where it is read: gamma of inversion by the default kappa, Adam's rate by any.
    other = {
        "prompt": "a blue rocket",
        "rule": "ISM",
        "kappa": "fixed",
        "guidance_scale": 1.5,
        "inversion_guidance_scale": 0.5,
        "num_inversion_steps": 3,
        "num_steps": 5,
        "seed": 1,
        "t_schedule": "sqrt",
        "learning_rate": 0.2,
    }
    assert set(other) == set(Settings.__dataclass_fields__)
    codes = {replace(SHORT, **{name: value}).code("tiny") for name, value in other.items()}
    assert len({SHORT.code("tiny"), *codes}) == len(other) + 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"rule": "SDX"}, "rule='SDX': expected one of SDI, SDS, ISM; did you mean SD"),
        ({"kappa": "randum"}, "kappa='randum': expected one of .*; did you mean random?"),
        ({"guidance_scale": float("nan")}, "guidance_scale=nan: expected a finite number"),
        ({"inversion_guidance_scale": float("inf")}, "inversion_guidance_scale=inf: expected a f"),
        ({"num_inversion_steps": 0}, "num_inversion_steps=0: expected an integer of at least 1"),
        ({"num_steps": 1}, "num_steps=1: expected an integer of at least 2"),
        ({"seed": -1}, "seed=-1: expected an integer of at least 0"),
        ({"t_schedule": "up"}, "t_schedule='up': expected one of linear, sqrt"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: expected a number above 0, or None"),
    ],
)
def test_a_value_outside_its_range_is_named(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(SHORT, **wrong)


def test_images_are_those_before_the_step_while_it_runs_and_after_it_at_the_end(session):
    with pytest.raises(ValueError, match="snapshot='step -1': expected one with a complete step"):
        session.images(session.snapshot)
    session.start(SHORT, pause_after=1)
    paused = session.wait(timeout=LIMIT)
    image, denoised = session.images(paused)
    assert not torch.allclose(image, denoised)
    session.stop()
    # The whole step of eq. 10 goes to the single-step denoised image.
    now, denoised = session.images(session.snapshot)
    torch.testing.assert_close(now, denoised)


def test_the_update_is_what_the_step_changed(session):
    for rate in (None, 0.01):
        session.start(replace(SHORT, learning_rate=rate))
        done = session.wait(timeout=LIMIT)
        assert len(done.t) == len(done.residuals) == len(done.updates) == 3
        # A whole step moves by w(t) = sigma(t) times eps - kappa, the residual; Adam by its rate.
        expected = done.residuals if rate is None else (0.01, done.updates[1], done.updates[2])
        torch.testing.assert_close(done.updates, tuple(expected), rtol=1e-3, atol=1e-6)


def test_a_model_of_another_name_is_named_in_the_code(tiny):
    assert isinstance(tiny, StableDiffusion)
    assert "from_pretrained('owner/model')" in SHORT.code("owner/model")
