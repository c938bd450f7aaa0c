"""The explorer's controls: everything that a run is made from, and nothing that its rule does not read."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import ipywidgets

from sdilib.distillation import THROUGH
from sdilib.guidance.base import WEIGHTS
from sdilib.guidance.named import KAPPAS, RULES, make_rule, rule_settings
from sdilib.guidance.vsd import ORDERS
from sdilib.lab.explorer.parts import LABELS, folded
from sdilib.lab.explorer.session import Config
from sdilib.lab.methods import METHODS, method_of
from sdilib.lab.practice import SAMPLED
from sdilib.lab.presets import resolve
from sdilib.lab.prompts import example_prompts
from sdilib.lab.runs.folders import SCENES
from sdilib.lab.runs.memory import require_memory
from sdilib.lab.world.captions import VIEWS, prompt
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.nerf.field import ACTIVATIONS, BACKGROUNDS
from sdilib.nerf.hash_grid import BACKENDS
from sdilib.schedule import T_SCHEDULES
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D

_LAYOUT = {"width": "264px"}
_STYLE = {"description_width": "118px"}
_ANY = "any"
_OF_AN_IMAGE = {"learning_rate": "Adam (0: eq. 10)"}
_CHOICES: Mapping[str, Any] = {
    "kappa": KAPPAS,
    "weight": WEIGHTS,
    "order": ORDERS,
    "t_schedule": T_SCHEDULES,
    "through": THROUGH,
    "activation": ACTIVATIONS,
    "background": BACKGROUNDS,
    "backend": BACKENDS,
}
_MAIN = {
    "image": ("steps", "seed", "t_schedule", "t_end", "learning_rate"),
    "nerf": ("steps", "seed", "t_schedule", "t_start", "t_end", "cameras"),
}
"""Settings of a run that are always in sight, by what it makes."""
_PLAIN = {bool: "Checkbox", int: "IntText", float: "FloatText", str: "Text"}


class WordPicker(ipywidgets.VBox):
    """Dropdowns of the bundled world's words, which say a prompt."""

    def __init__(self) -> None:
        """Begin with a red spotted mushroom."""
        hint = "a word of the prompt; any leaves it out"
        self.colour = _dropdown("colour", (_ANY, *COLOURS), "red", hint)
        self.pattern = _dropdown("pattern", PATTERNS, "spotted", "plain is not said")
        self.name = _dropdown("object", OBJECT_NAMES, "mushroom", "what the prompt asks for")
        self.view = _dropdown("view", (_ANY, *VIEWS), _ANY, hint)
        super().__init__([self.colour, self.pattern, self.name, self.view])

    @property
    def value(self) -> str:
        """The prompt; a run in 3D adds the words of its views itself."""
        colour = "" if self.colour.value == _ANY else self.colour.value
        seen = (
            None if self.view.value == _ANY or self.view not in self.children else self.view.value
        )
        return prompt(self.name.value, colour, pattern=self.pattern.value, view=seen)


class Controls(ipywidgets.VBox):
    """Controls of one run, in 2D or 3D.

    Attributes:
        scene: what is made, "image" or "nerf".
        prompt: what is asked for.
        rule: its name.
        of_the_rule: the box of the settings that the chosen rule reads.
        published: button that sets what the method's authors do.
    """

    def __init__(
        self,
        model: StableDiffusion,
        changed: Callable[[], None],
        *,
        scene: str,
        rule: str,
        given: Mapping[str, Any],
    ) -> None:
        """Build them.

        Args:
            model: of the runs. One of the world has dropdowns of its words, any other a line of text.
            changed: is called after each change.
            scene: that they begin with.
            rule: likewise; or one of a reader's own.
            given: settings that a run in that scene begins with, in place of the defaults.
        """
        self._model, self._announce = model, changed
        kinds = [("image", "image"), ("3D object", "nerf")]
        self.scene: Any = ipywidgets.ToggleButtons(
            options=kinds,
            value=scene,
            style={"button_width": "130px"},
            tooltips=["one picture, by a run in 2D", "a NeRF, from all sides"],
        )
        text = example_prompts(model.draws_world)[0]
        words = {"prompt": "what to make, in words that the model was trained on"}
        self.prompt = WordPicker() if model.draws_world else _control("prompt", text, words)
        self.rule = _dropdown("rule", dict.fromkeys((*RULES, rule)), rule)
        self.of_the_rule = ipywidgets.VBox()
        self.published: Any = ipywidgets.Button(
            description="as published",
            tooltip="γ, weight, times and optimiser as the rule's authors have them, scaled to this model",
        )
        self.published.on_click(lambda _: self.as_published())
        self._own: dict[str, dict[str, Any]] = {}
        for name, kind in SCENES.items():
            own = {
                k: v
                for k, v in self._preset(name).items()
                if k in ("t_start", "t_end", "start_guidance_scale")
            }
            start = kind.of(prompt=text, rule=rule, **own | (dict(given) if name == scene else {}))
            values = {f.name: getattr(start, f.name) for f in fields(kind)}
            means, labels = _meanings(kind), _OF_AN_IMAGE if name == "image" else {}
            if name == "image":
                means["t_end"] += " An image's run begins at pure noise, so t falls from 1."
            self._own[name] = {
                key: _control(key, value, means, labels)
                for key, value in values.items()
                if key not in ("prompt", "model", "rule") and type(value) in _PLAIN
            }
        self._rules: dict[str, dict[str, Any]] = {name: {} for name in SCENES}
        self._usual: dict[str, dict[str, Any]] = {name: {} for name in SCENES}
        self._run, self._rest = ipywidgets.VBox(), ipywidgets.VBox()
        self._more = folded("more settings", self._rest)
        heads = [ipywidgets.HTML(f"<h4>{t}</h4>") for t in ("what is asked for", "guidance", "run")]
        super().__init__(
            [
                *(self.scene, heads[0], self.prompt, heads[1], self.rule, self.of_the_rule),
                *(self.published, heads[2], self._run, self._more),
            ],
            layout={"width": "280px", "flex": "0 0 auto"},
        )
        for control in (self.scene, self.prompt, self.rule, *self._own_controls()):
            self._watch(control)
        self._begun = {id(each): each.value for each in self._plain()}
        self._arrange()

    @property
    def named(self) -> dict[str, Any]:
        """The controls that the present run reads, by setting."""
        of_rules = self._rules[self.scene.value]
        of_rule = {name: of_rules[name] for name in self._read() if name in of_rules}
        of_run = {"prompt": self.prompt, "rule": self.rule, **self._own[self.scene.value]}
        if "kappa" in of_rule and of_rule["kappa"].value == "cached":  # begins at the rule's own γ
            of_run.pop("start_guidance_scale", None)
        return of_run | of_rule

    def config(self) -> Config:
        """Return the run that the controls describe.

        Raises:
            ValueError: a value outside its range, or values that do not go together.
        """
        values = {name: control.value for name, control in self.named.items()}
        config = SCENES[self.scene.value].of(**values, model=self._model.name)
        make_rule(config.rule, self._model, config.rule_settings)  # which checks its own
        self._model.embed([config.prompt])
        if isinstance(config, Text3D):
            require_memory(config, self._model)
        return config

    def reset(self) -> None:
        """Go back to the values they began with."""
        for control in self._plain():
            if id(control) in self._begun:
                control.value = self._begun[id(control)]

    def as_published(self) -> None:
        """Set γ, weight, times and optimiser as the rule's authors have them, as in Table 1; steps and seed stay."""
        scene = self.scene.value
        own, sampled = self._own[scene], self._preset(scene).get("guidance_scale", SAMPLED)
        try:
            method = method_of(self.rule.value)
        except ValueError:  # a rule that cannot be found: `config` says so
            return
        wanted = method.settings(scene, sampled, own["steps"].value)
        some = {name for each in METHODS.values() for name in each.settings(scene)} - {"rule"}
        for name in some & own.keys():
            own[name].value = wanted.get(name, self._begun[id(own[name])])
        of_rule = self._rules[scene]
        first = {"kappa": "inversion", "guidance_scale": sampled}  # on which others depend
        for name in first.keys() & of_rule.keys():
            of_rule[name].value = wanted.get(name, first[name])
        self._follow(wanted)

    def _plain(self) -> list[Any]:
        """All that have a value of their own; the rule before its settings."""
        words = getattr(self.prompt, "children", (self.prompt,))
        of_rules = [control for each in self._rules.values() for control in each.values()]
        return [self.scene, *words, self.rule, *of_rules, *self._own_controls()]

    def _own_controls(self) -> list[Any]:
        return [control for each in self._own.values() for control in each.values()]

    def _read(self) -> dict[str, Any]:
        """What the chosen rule reads, and with it the chosen noise, and what they begin with at the present gamma."""
        rule, kappa = self.rule.value, self._rules[self.scene.value].get("kappa")
        preset = self._preset(self.scene.value)
        read = rule_settings(rule)
        gamma = self._rules[self.scene.value].get("guidance_scale")
        chosen = {name: of for name, of in preset.items() if name == "guidance_scale"}
        if gamma is not None:
            chosen["guidance_scale"] = gamma.value
        if kappa is not None:
            chosen["kappa"] = kappa.value
        read = rule_settings(rule, {name: of for name, of in chosen.items() if name in read})
        in_2d = {name: of for name, of in preset.items() if name == "inversion_start"}
        usual = Text3D.INVERSION if self.scene.value == "nerf" else in_2d
        return read | {name: value for name, value in usual.items() if name in read}

    def _preset(self, scene: str) -> dict[str, Any]:
        """What the bundled model's runs have in place of the defaults; empty for all others."""
        name = "run3d" if scene == "nerf" else "run"
        return resolve(name, "laptop") if self._model.draws_world else {}

    def _watch(self, control: Any) -> None:
        for part in getattr(control, "children", ()) or (control,):
            part.observe(self._changed, "value")

    def _changed(self, change: Any) -> None:
        of_rules = self._rules[self.scene.value]
        if change.owner in (self.scene, self.rule, of_rules.get("kappa")):
            self._arrange()
        elif change.owner is of_rules.get("guidance_scale"):
            self._follow()
        self._announce()

    def _follow(self, wanted: Mapping[str, Any] | None = None) -> None:
        """Let the rule's settings, which were not changed by hand, follow the rule, its noise and its gamma.

        Args:
            wanted: if given, all follow, these with their own values.
        """
        try:
            read = self._read()
        except ValueError:  # `config` says so
            return
        usual, of_rules = self._usual[self.scene.value], self._rules[self.scene.value]
        for name in of_rules.keys() & read.keys() - {"guidance_scale", "kappa"}:
            if read[name] is None:
                continue
            control = of_rules[name]
            if wanted is not None:
                control.value = wanted.get(name, read[name])
            elif control.value == usual.get(name, control.value):
                control.value = read[name]
            usual[name] = read[name]

    def _arrange(self) -> None:
        """Show the settings that the rule reads, and those of the scene."""
        try:
            read = {name: value for name, value in self._read().items() if value is not None}
        except ValueError:  # a rule that cannot be found: `config` says so
            return
        means = _meanings(RULES.get(self.rule.value), *KAPPAS.values(), *RULES.values())
        means["descent_rate"] = "of a step of the descent, without a unit; the paper states none"
        scene = self.scene.value
        of_rules = self._rules[scene]
        for name in read.keys() - of_rules.keys():
            of_rules[name] = _control(name, read[name], means)
            self._begun[id(of_rules[name])] = read[name]
            self._watch(of_rules[name])
        self._follow()
        self.of_the_rule.children = [of_rules[name] for name in read]
        for chosen, known in ((self.rule, RULES), (of_rules.get("kappa"), KAPPAS)):
            if chosen is not None:
                chosen.tooltip = _summary(known.get(chosen.value))
        own, main = self._own[scene], _MAIN[scene]
        self._run.children = [own[name] for name in main if name in own]
        shown = self.named
        rest = [own[name] for name in own if name in shown and name not in main]
        self._rest.children = rest
        self._more.layout.display = "" if rest else "none"
        if isinstance(self.prompt, WordPicker):
            words = [self.prompt.colour, self.prompt.pattern, self.prompt.name]
            self.prompt.children = words if scene == "nerf" else [*words, self.prompt.view]


def _meanings(*documented: Any) -> dict[str, str]:
    """What docstrings say of attributes, by name; the first that says something counts."""
    found: dict[str, str] = {}
    for each in documented:
        lines = re.findall(
            r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(each) or "", re.MULTILINE
        )
        found = {name: " ".join(text.split()) for name, text in lines} | found
    return found


def _summary(documented: Any) -> str:
    """What a rule or a noise is, by the first sentence of its docstring; "" for a reader's own rule."""
    text = inspect.getdoc(documented) if documented else ""
    return " ".join((text or "").split("\n\n")[0].split())


def _dropdown(label: str, options: Any, value: str, hint: str = "") -> Any:
    return ipywidgets.Dropdown(
        options=list(options),
        value=value,
        description=label,
        style=_STYLE,
        layout=_LAYOUT,
        tooltip=hint,
    )


def _control(
    name: str, value: Any, means: Mapping[str, str], labels: Mapping[str, str] = LABELS
) -> Any:
    """Return the control of a setting; a number out of range is left for the settings to refuse."""
    label = labels.get(name, LABELS.get(name, name.replace("_", " ")))
    hint = means.get(name, "")
    if name in _CHOICES:
        return _dropdown(label, _CHOICES[name], value, hint)
    kind = getattr(ipywidgets, _PLAIN[type(value)])
    style = _STYLE if kind is not ipywidgets.Checkbox else {"description_width": "initial"}
    return kind(value=value, description=label, style=style, layout=_LAYOUT, tooltip=hint)
