"""A run on its own thread: what may be done to it, what it shows, and that it ends."""

import errno
import gc
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from made_up import small_3d

from sdilib.guidance.named import KAPPAS, RULES
from sdilib.lab.explorer.session import MOST_FRAMES, Frame, Session, Snapshot, code
from sdilib.lab.runs import distilled
from sdilib.storage import read_json
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

SHORT = Text2D("a red mug", model="tiny", steps=4, rule_settings={"num_inversion_steps": 2})
LONG = replace(SHORT, rule_settings={"kappa": "random"}, steps=100_000)
OBJECT = small_3d(rule="sds", steps=3, cameras=1, num_samples=8)
LIMIT = 60.0  # seconds until a test that hangs is called a failure


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
    time.sleep(1.0)  # the step under way
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
    assert (paused.state, len(paused.log)) == ("paused", 2)
    session.resume()
    ended = session.wait(timeout=LIMIT)
    assert (ended.state, ended.step) == ("finished", 3)
    *_, last = SHORT.build(session.model).steps()
    assert torch.equal(ended.frames[-1].latents["after"], last.render())


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
    assert "finite" in failed.message


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "running\n", "")


def each() -> list[Text2D | Text3D]:
    iterated = ("inversion", "fixed point", "gradient descent")
    settings = {kappa: {"num_inversion_steps": 2} if kappa in iterated else {} for kappa in KAPPAS}
    kappas = [replace(SHORT, rule_settings={"kappa": k} | of) for k, of in settings.items()]
    gamma = {"guidance_scale": 3.0}
    rules = [replace(SHORT, rule=rule, rule_settings=gamma, t_end=0.1) for rule in RULES]
    changed = replace(rules[1], t_schedule="random", learning_rate=0.1, seed=7)
    quoted = replace(LONG, prompt='a "red" mug\'s', steps=3)
    inverted = small_3d(steps=2, cameras=1, num_samples=8, num_inversion_steps=2)
    return [*kappas, *rules, changed, quoted, OBJECT, inverted]


@pytest.mark.parametrize("config", each(), ids=str)
def test_the_code_makes_the_same_image(session, config):
    names: dict = {}
    exec(code(config), names)
    assert names["run"].config == config
    session.start(config)
    ended = session.wait(timeout=4 * LIMIT)
    assert torch.equal(session.pictures(ended.frames[-1])["image"], names["image"])


def test_the_code_says_what_is_not_the_default_and_nothing_else():
    config = Text2D.of(prompt="a", model="owner/model", kappa="fixed point", num_inversion_steps=3)
    lines = code(config).split("(\n")[1].split(")")[0].split()
    assert lines == [
        "prompt='a',",
        "rule='sdi',",
        "model='owner/model',",
        "kappa='fixed",
        "point',",
        "num_inversion_steps=3,",
    ]


def test_a_frame_shows_the_image_and_what_explains_it(session):
    session.start(SHORT, pause_after=1)
    paused = session.wait(timeout=LIMIT)
    shown = session.pictures(paused.frames[-1])
    assert set(shown) == {"image", "x(t)", "x̂0", "κ"}
    assert all(each.shape[0] == 3 and 0 <= each.min() <= each.max() <= 1 for each in shown.values())
    # The whole step of eq. 10 goes to the single-step denoised image.
    torch.testing.assert_close(shown["image"], shown["x̂0"])
    *_, last = zip(range(1), SHORT.build(session.model).steps(), strict=False)
    step = last[1]
    noised = session.model.schedule.add_noise(step.x0, step.update.kappa, step.t)
    torch.testing.assert_close(paused.frames[-1].latents["x(t)"], noised)


def test_frames_of_a_long_run_are_thinned():
    frames = [Frame(step, {}) for step in range(3 * MOST_FRAMES)]
    snapshot = Snapshot()
    for frame in frames:
        snapshot = snapshot.latest(frame)
        assert snapshot.frames[-1] is frame
        assert len(snapshot.frames) <= MOST_FRAMES
    assert snapshot.frames[0] is frames[0]
    assert len(snapshot.frames) > MOST_FRAMES / 2


def test_what_is_left_is_told_by_what_was_done():
    config = replace(SHORT, steps=11)
    log = tuple({"step": step} for step in range(1, 5))
    assert Snapshot(config=config, log=log, seconds=8.0).seconds_left == 12.0
    assert Snapshot(config=config).seconds_left == 0.0


def test_an_object_is_seen_before_the_first_step_and_from_where_one_turns_to(session):
    session.turn(0, 15)
    session.start(OBJECT)
    ended = session.wait(timeout=4 * LIMIT)
    assert ended.state == "finished", ended.message
    first, *_, last = ended.frames
    assert (first.step, last.step) == (-1, OBJECT.steps - 1)
    assert set(session.pictures(first)) == {"image"}
    assert set(session.pictures(last)) == {"image", "x(t)", "x̂0", "κ"}
    session.turn(90, 40)
    turned = session.snapshot.frames[-1]
    assert not torch.equal(turned.view, last.view)
    session.turn(0, 15)
    assert torch.equal(session.snapshot.frames[-1].view, last.view)


def test_a_paused_object_can_be_turned_and_goes_on_to_the_same_one(session, tmp_path):
    session.start(OBJECT)
    unbroken = session.wait(timeout=4 * LIMIT).frames[-1].view
    session.start(OBJECT, pause_after=1)
    paused = session.wait(timeout=4 * LIMIT)
    assert paused.state == "paused"
    session.turn(200, 0)
    assert session.snapshot.state == "paused"
    session.turn(22.5, 15)
    session.resume()
    assert torch.equal(session.wait(timeout=4 * LIMIT).frames[-1].view, unbroken)


def test_a_saved_run_is_one_that_the_library_finds(session, tmp_path):
    with pytest.raises(ValueError, match="run='idle': expected a finished one"):
        session.save(tmp_path)
    session.start(SHORT)
    ended = session.wait(timeout=LIMIT)
    folder = session.save(tmp_path)
    assert session.save(tmp_path) == folder
    before = session.model.num_forwards
    found = distilled(SHORT, root=tmp_path, model=session.model, progress=False)
    assert found.folder == folder
    assert found.log == ended.log
    assert found.seconds <= ended.seconds + 1
    assert session.model.num_forwards - before <= 2  # it was not made again
    assert torch.equal(found.scene.values, ended.frames[-1].latents["after"])
    (folder / "done.json").unlink()
    with pytest.raises(ValueError, match=f"run='{folder.name}': expected one that is not unfinish"):
        session.save(tmp_path)
    shutil.rmtree(folder)
    assert (session.save(tmp_path) / "done.json").is_file()


def test_a_run_is_saved_whole_or_not_at_all(session, tmp_path, monkeypatch):
    session.start(SHORT)
    session.wait(timeout=LIMIT)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(shutil.copytree, "__defaults__", (False, None, full, False, False))
        with pytest.raises(OSError, match="no space"):
            session.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert session.save(tmp_path).is_dir()


def test_pauses_are_no_work(session, tmp_path):
    session.start(SHORT, pause_after=1)
    session.wait(timeout=LIMIT)
    time.sleep(1.5)
    session.resume()
    ended = session.wait(timeout=LIMIT)
    worked = session._run  # what the record says
    folder = session.save(tmp_path)
    assert worked is session._run
    assert read_json(folder / "done.json")["seconds"] < ended.seconds + 1.0


def test_a_reset_session_is_idle(session):
    session.start(LONG)
    until_step(session, 2)
    session.reset()
    assert session.snapshot.state == "idle"
    session.start(SHORT)
    assert session.wait(timeout=LIMIT).state == "finished"
