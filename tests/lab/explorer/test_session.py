"""A run on its own thread: what may be done to it, what it shows, and that it ends."""

import gc
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch

from sdilib.guidance.named import KAPPAS, RULES
from sdilib.lab.explorer.session import Session, Snapshot, code
from sdilib.text_to_image import Text2D

SHORT = Text2D("a red mug", model="tiny", steps=4, rule_settings={"num_inversion_steps": 2})
LONG = replace(SHORT, rule_settings={"kappa": "random"}, steps=100_000)
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
    *_, last = SHORT.build(session.model).steps()
    assert torch.equal(ended.latents, last.render())


def test_a_new_start_cancels_the_run_before_it(session):
    session.start(LONG)
    until_step(session, 2)
    first = session._run
    session.start(SHORT)
    assert first.snapshot.state == "stopped"
    ended = session.wait(timeout=LIMIT)
    assert (ended.state, ended.config) == ("finished", SHORT)
    assert not first.thread.is_alive()
    # What the cancelled run computed meanwhile is not counted: 2 to start, then inversion and step.
    steps = SHORT.build(session.model).steps()
    assert ended.num_forwards == 2 + sum(step.update.num_forwards for step in steps)


def test_a_prompt_that_cannot_be_read_is_refused_and_the_run_goes_on(session):
    session.start(LONG)
    with pytest.raises(ValueError, match=r"expected at most .* tokens"):
        session.start(replace(SHORT, prompt=" ".join(["mug"] * 40)))
    assert session.snapshot.state == "running"
    assert session.snapshot.config is LONG


def test_what_fails_on_the_way_is_told_as_a_sentence(session):
    session.start(replace(LONG, rule_settings={"kappa": "random", "guidance_scale": 1e30}))
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
        "from sdilib.lab.explorer.session import Session; from sdilib import StableDiffusion, Text2D\n"
        "session = Session(StableDiffusion.from_pretrained('tiny'))\n"
        "session.start(Text2D.of(prompt='a red mug', kappa='random', steps=1000000))\n"
        "session.wait(session.snapshot)\n"
        "print(session.snapshot.state)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "running\n", "")


def each() -> list[Text2D]:
    iterated = ("inversion", "fixed point", "gradient descent")
    settings = {kappa: {"num_inversion_steps": 2} if kappa in iterated else {} for kappa in KAPPAS}
    kappas = [replace(SHORT, rule_settings={"kappa": k} | of) for k, of in settings.items()]
    gamma = {"guidance_scale": 3.0}
    rules = [replace(SHORT, rule=rule, rule_settings=gamma, t_end=0.1) for rule in RULES]
    changed = replace(rules[1], t_schedule="random", learning_rate=0.1, seed=7)
    return [*kappas, *rules, changed, replace(LONG, prompt='a "red" mug\'s', steps=3)]


@pytest.mark.parametrize("config", each(), ids=str)
def test_the_code_makes_the_same_image(session, config):
    names: dict = {}
    exec(code(config), names)
    session.start(config)
    image, _ = session.images(session.wait(timeout=LIMIT))
    assert torch.equal(image, names["image"])


def test_the_code_says_every_setting():
    for config in (SHORT, replace(SHORT, model="owner/model", rule="ism", rule_settings={})):
        for name, value in config.settings().items():
            assert f"\n    {name}={value!r},\n" in code(config)


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
    for rate in (0.0, 0.01):
        session.start(replace(SHORT, learning_rate=rate))
        done = session.wait(timeout=LIMIT)
        assert len(done.t) == len(done.residuals) == len(done.updates) == 3
        # A whole step moves by w(t) = sigma(t) times eps - kappa, the residual; Adam by its rate.
        expected = done.residuals if not rate else (0.01, done.updates[1], done.updates[2])
        torch.testing.assert_close(done.updates, tuple(expected), rtol=1e-3, atol=1e-6)
