"""The explorer without a browser: what its controls do, and that a page cannot hold a run up or outlive it."""

import io
import itertools
import threading
import time

import pytest
import torch
from ipywidgets import Text
from matplotlib.figure import Figure
from PIL import Image

from sdilib.guidance.named import RULES, rule_settings
from sdilib.lab.explorer import widgets
from sdilib.lab.explorer.controls import WordPicker
from sdilib.lab.explorer.curves import explored, run_curves
from sdilib.lab.explorer.parts import folded
from sdilib.lab.explorer.session import FRONT, code
from sdilib.lab.explorer.widgets import Explorer
from sdilib.lab.methods import METHODS, method_of
from sdilib.lab.presets import resolve
from sdilib.lab.runs import known_runs
from sdilib.lab.world.captions import WORDS
from sdilib.stable_diffusion.model import check_words
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

LIMIT = 60.0
SIZES = {"image": (256, 256), "x(t)": (80, 80), "x̂0": (80, 80), "κ": (96, 96)}


@pytest.fixture
def explorer(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(widgets, "PAUSE", 0.02)
    made = Explorer(tiny, num_steps=4, root=str(tmp_path))
    made.controls.named["num_inversion_steps"].value = 2
    yield made
    made.close()
    until(lambda: threads() == [])


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("sdilib")]


def until(true, message="") -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, message
        time.sleep(0.01)


def worked(seconds: float) -> float:
    """Processor time of this process while we look on."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before


def endless(explorer: Explorer) -> None:
    explorer.controls.named["kappa"].value = "random"
    explorer.controls.named["steps"].value = 100_000
    explorer.buttons["start"].click()
    until(lambda: explorer.session.snapshot.step > 2)


def test_the_controls_say_the_run(explorer):
    read = {"num_inversion_steps": 2, "guidance_scale": resolve("run", "laptop")["guidance_scale"]}
    read |= {"inversion_start": 0.1}
    assert explorer.controls.config() == Text2D(
        "a red spotted mushroom",
        model="tiny",
        steps=4,
        start_guidance_scale=read["guidance_scale"],
        rule_settings=read,
    )
    picker = explorer.controls.named["prompt"]
    picker.colour.value, picker.pattern.value = "any", "plain"
    picker.name.value, picker.view.value = "ice cream", "side"
    explorer.controls.named["learning_rate"].value = 0.1
    assert explorer.controls.config().prompt == "an ice cream, side view"
    assert explorer.controls.config().learning_rate == 0.1
    assert explorer.code.value == code(explorer.controls.config())


def test_every_offered_word_is_one_of_the_worlds():
    picker = WordPicker()
    for dropdown in (picker.colour, picker.pattern, picker.name, picker.view):
        for option in dropdown.options:
            dropdown.value = option
            check_words(picker.value, WORDS)


def test_another_model_has_a_line_of_text(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "name", "owner/model")
    explorer = Explorer(tiny)
    explorer.controls.named["prompt"].value = "a cat"
    assert explorer.controls.config().prompt == "a cat"
    assert "'a cat'" in explorer.code.value
    assert explorer.controls.named["inversion_start"].value == 0  # the paper's
    explorer.close()


def test_the_buttons_start_pause_go_on_and_stop(explorer):
    pause, stop = explorer.buttons["pause"], explorer.buttons["stop"]
    assert pause.disabled
    assert stop.disabled
    endless(explorer)
    until(lambda: not pause.disabled and "running" in explorer.status.value)
    pause.click()
    until(lambda: pause.description == "Go on" and "paused" in explorer.status.value)
    at = explorer.session.snapshot.step
    pause.click()
    until(lambda: explorer.session.snapshot.step > at)
    stop.click()
    until(lambda: stop.disabled and "stopped" in explorer.status.value)


def test_a_finished_run_shows_its_image(explorer):
    images = explorer.cards[1].images
    blank = {each.value for each in images.values()}
    explorer.start()
    until(lambda: "finished: step 4 of 4" in explorer.status.value)
    explorer.wait(LIMIT)
    assert (explorer.progress.value, explorer.progress.max) == (4, 4)
    shown = {name: Image.open(io.BytesIO(each.value)) for name, each in images.items()}
    assert {name: each.size for name, each in shown.items()} == SIZES
    assert not blank & {each.value for each in images.values()}


def test_a_run_asked_to_pause_waits_for_the_next_click(explorer):
    explorer.start(pause_after=2)
    assert explorer.wait(LIMIT).state == "paused"
    assert "paused: step 3 of 4" in explorer.status.value
    explorer.buttons["pause"].click()
    assert explorer.wait(LIMIT).state == "finished"


def test_a_new_start_replaces_the_run(explorer):
    endless(explorer)
    explorer.controls.named["steps"].value = 3
    explorer.buttons["start"].click()
    snapshot = explorer.wait(LIMIT)
    assert (snapshot.state, snapshot.config.steps) == ("finished", 3)
    until(lambda: threads() == [])


@pytest.mark.parametrize(
    ("control", "value", "sentence"),
    [
        ("steps", 1, "steps=1: expected an integer of at least 2"),
        ("num_inversion_steps", 0, "num_inversion_steps=0: expected an integer of at least 1"),
        ("seed", -1, "seed=-1: expected an integer of at least 0"),
        ("guidance_scale", float("nan"), "guidance_scale=nan: expected a finite number"),
        ("learning_rate", -0.5, "learning_rate=-0.5: expected a number in [0, 10]"),
    ],
)
def test_a_wrong_value_is_one_sentence_and_starts_nothing(
    explorer, capfd, control, value, sentence
):
    explorer.controls.named[control].value = value
    assert sentence in explorer.status.value  # as soon as it is typed
    assert explorer.code.value == ""
    explorer.start()
    assert sentence in explorer.status.value
    assert explorer.session.snapshot.state == "idle"
    assert threads() == []
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


def test_a_failure_on_the_way_is_one_sentence(explorer):
    explorer.controls.named["kappa"].value = "random"
    explorer.controls.named["guidance_scale"].value = 1e30
    explorer.start()
    assert explorer.wait(LIMIT).state == "failed"
    until(lambda: "finite" in explorer.status.value)


def test_the_settings_that_the_rule_reads_are_shown_and_keep_their_values(explorer):
    controls = explorer.controls

    def shown(rule: str, kappa: str = "") -> set[str]:
        controls.rule.value = rule
        if kappa:
            controls.named["kappa"].value = kappa
        names = {id(control): name for name, control in controls.named.items()}
        return {names[id(control)] for control in controls.of_the_rule.children}

    of_sdi = {"guidance_scale", "weight", "renoise", "kappa"}
    inverted = {"inversion_guidance_scale", "num_inversion_steps", "inversion_start"}
    inverted |= {"tau_max", "entropy", "unit"}
    assert shown("sdi", "inversion") == of_sdi | inverted
    assert shown("sdi", "fixed point") == of_sdi | {"num_inversion_steps"}
    assert shown("sdi", "gradient descent") == of_sdi | {"num_inversion_steps", "descent_rate"}
    assert "start_guidance_scale" in controls.named
    assert shown("sdi", "cached") == of_sdi
    assert "start_guidance_scale" not in controls.named  # it begins at the rule's γ
    assert shown("sds") == {"guidance_scale", "weight"}
    of_ism = {"inversion_guidance_scale", "num_inversion_steps"}
    assert shown("ism") == {"guidance_scale", "weight"} | of_ism
    assert controls.named["num_inversion_steps"].value == 2
    assert explorer.controls.config().rule_settings["num_inversion_steps"] == 2


def test_a_rule_of_ones_own_has_controls_of_its_settings(tiny, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("""
from sdilib.guidance import SDS
class Mine:
    def __init__(self, denoiser, strength=2.0, often=3, loud=True, name="x", at_most=None):
        self.inner = SDS(denoiser, strength)
    def __call__(self, *seen):
        return self.inner(*seen)
""")
    explorer = Explorer(tiny, rule=str(path), num_steps=3)
    assert [type(control.value) for control in explorer.controls.of_the_rule.children] == [
        float,
        int,
        bool,
        str,
    ]
    explorer.controls.named["strength"].value = 1.5
    explorer.start()
    assert explorer.wait(LIMIT).state == "finished"
    settings = explorer.session.snapshot.config.rule_settings
    assert (settings["strength"], settings["at_most"]) == (1.5, None)
    explorer.close()


def test_a_page_that_hangs_does_not_hold_the_run_up(explorer):
    hangs = threading.Event()
    explorer.curves.observe(lambda _: hangs.wait(LIMIT), "value")
    explorer.controls.named["steps"].value = 10
    explorer.controls.named["kappa"].value = "random"
    began = time.monotonic()
    explorer.start()
    assert explorer.session.wait(timeout=LIMIT).state == "finished"
    assert time.monotonic() - began < LIMIT / 2
    hangs.set()


@pytest.mark.parametrize("how", ["close", "view", "page", "another"])
def test_nothing_runs_once_the_page_is_gone(tiny, explorer, how):
    endless(explorer)
    if how == "close":
        explorer.close()
    elif how == "view":
        explorer.view.close()
    elif how == "page":
        explorer.view.comm.handle_close({})
    else:
        Explorer(tiny)  # the same cell again
    assert explorer.session.snapshot.state == "stopped"
    until(lambda: threads() == [])


def test_it_shows_itself_as_a_widget(explorer):
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle


def records(count: int) -> list[dict[str, float]]:
    return [{"step": i, "t": 0.5, "residual": 0.5 - i / 100, "gradient": 0.1} for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_figures_can_be_drawn(count):
    logs = {"A": records(count), "B": records(count + 1)}
    images = {"A image": torch.rand(3, 8, 8), "B image": torch.rand(3, 8, 8)}
    for figure in (run_curves({"": logs["A"]}), run_curves(logs), explored(images, logs)):
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()


def test_the_figure_is_that_of_the_present_run(explorer):
    with pytest.raises(ValueError, match="expected one with a complete step"):
        explorer.figure()
    explorer.start(pause_after=1)
    explorer.wait(LIMIT)
    assert isinstance(explorer.figure(), Figure)


def test_the_scrubber_goes_back_through_the_run(explorer):
    explorer.start()
    ended = explorer.wait(LIMIT)
    scrubber, image = explorer.scrubber, explorer.cards[1].images["image"]
    assert (scrubber.value, scrubber.max) == (2, 2)
    last = image.value
    scrubber.value = 0
    assert scrubber.description == f"step {ended.frames[0].step + 1}"
    assert image.value != last
    scrubber.value = 2
    assert image.value == last


def test_a_run_that_is_kept_stands_beside_the_next(explorer):
    first, second = explorer.cards
    assert first.layout.display == "none"
    explorer.start()
    explorer.wait(LIMIT)
    explorer.buttons["keep"].click()
    kept = first.images["image"].value
    assert kept == second.images["image"].value
    explorer.controls.named["guidance_scale"].value = 1.0
    explorer.start()
    explorer.wait(LIMIT)
    assert first.images["image"].value == kept != second.images["image"].value
    assert "γ 3" in first.caption.value
    assert "γ 1" in second.caption.value
    explorer.controls.named["steps"].value = 2  # one update: as far on is its end
    explorer.start()
    explorer.wait(LIMIT)
    assert len(explorer.session.snapshot.frames) == 1
    assert first.images["image"].value == kept
    explorer.save_figure()
    explorer.buttons["keep"].click()
    assert first.layout.display == "none"


def test_what_is_saved_lies_beside_the_runs(explorer, tmp_path):
    assert explorer.buttons["run"].disabled
    explorer.start()
    explorer.wait(LIMIT)
    explorer.buttons["run"].click()
    (run,) = known_runs(tmp_path)
    assert run["name"] in explorer.saved.value
    assert (run["state"], run["steps"]) == ("done", 4)
    explorer.buttons["figure"].click()
    (record,) = (tmp_path / "figures").glob("*.json")
    assert record.stem in explorer.saved.value
    assert record.with_suffix(".png").is_file()
    assert '"num_inversion_steps": 2' in record.read_text()
    assert len(known_runs(tmp_path)) == 1  # a figure is no run


def test_reset_forgets_the_run_and_the_changes(explorer):
    explorer.start()
    explorer.wait(LIMIT)
    explorer.controls.rule.value = "sds"
    explorer.controls.scene.value = "nerf"
    explorer.buttons["reset"].click()
    assert explorer.controls.named["num_inversion_steps"].value == 10
    assert explorer.controls.named["steps"].value == 4
    assert "Nothing runs yet" in explorer.status.value
    assert explorer.session.snapshot.state == "idle"


def test_an_object_has_its_own_settings_and_can_be_turned(explorer):
    turn, tilt = explorer.turn
    assert turn.layout.display == "none"
    controls = explorer.controls
    controls.scene.value, controls.rule.value = "nerf", "sds"
    assert turn.layout.display == ""
    small = {"steps": 2, "cameras": 1, "size": 16, "num_samples": 8, "levels": 4}
    for name, value in small.items():
        controls.named[name].value = value
    assert "view" not in [each.description for each in controls.prompt.children]
    assert "Text3D.of(" in explorer.code.value
    explorer.start()
    assert explorer.wait(4 * LIMIT).state == "finished", explorer.status.value
    image = explorer.cards[1].images["image"]
    before = image.value
    explorer.buttons["keep"].click()
    kept = explorer.cards[0].images["image"]
    assert kept.value == before
    explorer.scrubber.value = 0
    turn.value, tilt.value = -90, 40
    assert image.value != before
    assert kept.value == image.value  # both are turned
    assert explorer.scrubber.value == explorer.scrubber.max
    turn.value, tilt.value = FRONT
    assert image.value == before
    tilt.value = 40
    explorer.buttons["reset"].click()
    assert (turn.value, tilt.value) == FRONT


def test_an_object_that_is_kept_turns_beside_the_next_run(explorer):
    controls = explorer.controls
    controls.scene.value, controls.rule.value = "nerf", "sds"
    small = {"steps": 2, "cameras": 1, "size": 16, "num_samples": 8, "levels": 4}
    for name, value in small.items():
        controls.named[name].value = value
    explorer.start()
    explorer.wait(4 * LIMIT)
    explorer.keep()
    controls.named["seed"].value = 1
    explorer.start()
    assert explorer.wait(4 * LIMIT).state == "finished"
    images = [card.images["image"] for card in explorer.cards]
    before = [each.value for each in images]
    assert before[0] != before[1]
    explorer.turn[0].value = -90
    turned = [each.value for each in images]
    assert all(a != b for a, b in zip(before, turned, strict=True))
    explorer.turn[0].value = FRONT[0]
    assert [each.value for each in images] == before


def test_values_that_do_not_go_together_disable_start(explorer):
    explorer.controls.named["kappa"].value = "cached"
    assert not explorer.buttons["start"].disabled
    explorer.controls.scene.value = "nerf"
    explorer.controls.named["kappa"].value = "cached"
    assert "kappa=&#x27;cached&#x27;: expected another one in 3D" in explorer.status.value
    explorer.controls.scene.value = "image"
    assert not explorer.buttons["start"].disabled


def test_a_run_pauses_when_its_page_is_gone_and_goes_on_when_it_is_back(explorer, monkeypatch):
    monkeypatch.setattr(widgets, "GONE", 0.5)
    monkeypatch.setattr(widgets, "ASK", 0.5)
    endless(explorer)
    time.sleep(1.0)
    assert explorer.session.snapshot.state == "running"  # there was never a page
    asked = explorer._asked.value
    explorer._answered.value = asked + 1  # any other number
    until(lambda: explorer.session.snapshot.state == "paused")
    until(lambda: worked(seconds=1.0) < 0.02)  # its threads wait, and do not look about
    until(lambda: explorer._asked.value > asked)  # it is asked all the same
    explorer._answered.value = asked + 2
    assert explorer.session.snapshot.state == "running"
    explorer.stop()
    until(lambda: threads() == [])
    asked = explorer._asked.value
    time.sleep(0.2)
    assert explorer._asked.value == asked  # nobody is asked after a run


def test_every_setting_says_what_it_means(explorer):
    for scene in ("image", "nerf"):
        explorer.controls.scene.value = scene
        named = explorer.controls.named
        words = {each.description: each for each in named.pop("prompt").children}
        others = [*explorer.turn, explorer.scrubber, *explorer.buttons.values()]
        shown = [*named.items(), *words.items(), *((each.description, each) for each in others)]
        assert [name for name, control in shown if not control.tooltip] == []
    assert len(explorer.controls.scene.tooltips) == 2


def test_the_chosen_rule_and_noise_say_what_they_are(explorer):
    rule, kappa = explorer.controls.rule, explorer.controls.named["kappa"]
    assert rule.tooltip.startswith("Score distillation via inversion: ")
    kappa.value = "gradient descent"
    assert "eq. 8's squared residual" in kappa.tooltip
    assert explorer.controls.named["descent_rate"].tooltip
    rule.value = "sds"
    assert rule.tooltip == "Score distillation sampling: w(t) (eps(x_t, t, y) - noise) (eq. 4)."


def test_what_is_folded_is_shown_by_a_button_and_hidden_again():
    inside = Text()
    opened, shown = folded("more", inside).children
    seen = []
    for pressed in (False, True, False):
        opened.value = pressed
        seen.append(shown.layout.display != "none")
    assert (shown.children, seen) == ((inside,), [False, True, False])


@pytest.mark.parametrize("scene", ["image", "nerf"])
@pytest.mark.parametrize("published", [False, True])
def test_each_rule_has_its_own_settings_whichever_was_chosen_before(explorer, scene, published):
    controls = explorer.controls
    controls.named["num_inversion_steps"].value = 10
    controls.scene.value = scene
    usual = Text3D.INVERSION if scene == "nerf" else {"inversion_start": 0.1}
    for rule in (*RULES, "ism", "sdi"):
        controls.rule.value = rule
        if published:
            controls.published.click()
        found = controls.config().rule_settings
        gamma = found.get("guidance_scale", 7.5)
        wanted = rule_settings(rule, {"guidance_scale": gamma} if "guidance_scale" in found else {})
        wanted |= {name: of for name, of in usual.items() if name in wanted}
        if published:
            method = method_of(rule).settings(scene, 3.0, controls.named["steps"].value)
            wanted |= {name: of for name, of in method.items() if name in wanted}
            assert gamma == method.get("guidance_scale", 3.0)
        assert found == wanted, rule


def test_the_inversions_gamma_follows_that_of_the_rule_until_it_is_given(explorer):
    named = explorer.controls.named
    named["guidance_scale"].value = 5.0
    assert named["inversion_guidance_scale"].value == -5.0
    named["inversion_guidance_scale"].value = 1.0
    named["guidance_scale"].value = 7.5
    assert named["inversion_guidance_scale"].value == 1.0


@pytest.mark.parametrize("scene", ["image", "nerf"])
def test_a_method_is_as_published_and_sdi_is_again_as_it_began(explorer, scene):
    controls = explorer.controls
    controls.scene.value = scene
    controls.named["seed"].value = 3
    controls.named["num_inversion_steps"].value = 10
    begun = controls.config()
    for name in ("SDS", "VSD", "HiFA", "SDI"):
        controls.rule.value = METHODS[name].rule
        controls.published.click()
        config = controls.config()
        settings, sampled = config.settings(), begun.settings()["guidance_scale"]
        wanted = METHODS[name].settings(scene, sampled, config.steps)
        assert settings.items() >= wanted.items()
    assert config == begun
    assert config.seed == 3


def test_a_run_begins_with_the_presets_values(tiny):
    explorer = Explorer(tiny, num_steps=120)
    own = ("guidance_scale", "start_guidance_scale", "inversion_start")
    in_2d = {name: resolve("run", "laptop")[name] for name in own}
    in_3d = {k: resolve("run3d", "laptop")[k] for k in ("guidance_scale", "t_start", "t_end")}
    for scene, kind, own in (("image", Text2D, in_2d), ("nerf", Text3D, in_3d)):
        explorer.controls.scene.value = scene
        given = {"prompt": "a red spotted mushroom", "model": "tiny", "steps": 120, **own}
        assert explorer.controls.config() == kind.of(**given)
        assert explorer.code.value == code(kind.of(**given))
    explorer.close()


def test_a_learning_rate_is_named_for_what_is_made(explorer):
    explorer.controls.scene.value = "nerf"
    assert explorer.controls.named["learning_rate"].description == "learning rate"
    explorer.controls.scene.value = "image"
    assert explorer.controls.named["learning_rate"].description == "Adam (0: eq. 10)"


def test_six_runs_are_told_apart_by_hue_and_line():
    figure = run_curves({str(k): records(5) for k in range(6)})
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 6
    assert {style for _, style in looks} == {"-", "--"}
    points = {(line.get_color(), line.get_marker()) for line in figure.axes[2].lines}
    assert len({marker for _, marker in points}) == 3
    assert len(points) == 6


def test_every_rule_is_offered_and_can_be_started(explorer):
    rule = explorer.controls.rule
    assert set(rule.options) == set(RULES)
    for scene in ("image", "nerf"):
        explorer.controls.scene.value = scene
        for name in RULES:
            rule.value = name
            assert not explorer.buttons["start"].disabled, (scene, name, explorer.status.value)


def test_pictures_leave_the_page_time_to_breathe(explorer, monkeypatch):
    monkeypatch.setattr(widgets, "PAUSE", 0.3)
    painted = []
    explorer.progress.observe(lambda _: painted.append(time.monotonic()), "value")
    endless(explorer)
    until(lambda: len(painted) > 3)
    assert min(b - a for a, b in itertools.pairwise(painted[:4])) > 0.25


def test_slow_painting_leaves_the_run_half_of_the_time(explorer):
    began, ended = [], []

    def slowly(_):
        time.sleep(0.5)
        ended.append(time.monotonic())

    explorer.progress.observe(lambda _: began.append(time.monotonic()), "value")
    endless(explorer)
    explorer.curves.observe(slowly, "value")
    until(lambda: len(ended) > 3)
    pauses = [min(b - at for b in began if b > at) for at in ended[:3]]
    assert min(pauses) > 0.4


def test_a_skipped_step_is_a_gap_in_the_curves():
    whole = {"t": 0.5, "residual": 0.1, "gradient": 0.2}
    log = [{"step": 0, **whole}, {"step": 1, "t": 0.4, "skipped": 1}, {"step": 2, **whole}]
    assert run_curves({"": log}).axes[0].lines[0].get_ydata()[1] != 0.1
    assert len(run_curves({"": log[1:2]}).axes) == 3
