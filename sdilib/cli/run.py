"""`sdilib run`: a 3D object, or an image, from a prompt."""

import argparse
import sys
from typing import Any

from sdilib.checks import finite, one_of, positive_int, reject, text
from sdilib.cli.arguments import Command, add_preset, integer, number, pairs, typed

_GAMMAS = ("guidance_scale", "inversion_guidance_scale")


def add_run(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    parser = command("run", _run, "distil a 3D object, or an image, from a prompt")
    add = parser.add_argument
    add(
        "--prompt",
        required=True,
        help="what to make, as in 'a red mug'; without words for its view",
    )
    add("--negative-prompt", default="", help="in place of the empty prompt of eq. 3, ∅")
    add(
        "--rule",
        default="sdi",
        help="sdi (default), sds, ism, or another of sdilib.RULES; or one of your own, as rule.py, rule.py:Rule or module:Rule",
    )
    add_preset(parser, model=True, default="")
    add(
        "--variant",
        default="paper",
        help="of rule sdi: paper (default), or official, as the published code has it; see paper_figures/settings.md",
    )
    add("--steps", type=integer, default=0, help="0: the preset's")
    add(
        "--guidance-scale",
        type=number,
        help="gamma of eq. 3; default 7.5 at preset gpu, lower at the bundled model's",
    )
    add(
        "--inversion-guidance-scale",
        type=number,
        help="gamma of the inversion, for a rule that has one, such as sdi; default -7.5 at preset gpu: -gamma, unless the rule says otherwise",
    )
    add("--seed", type=integer, default=0, help="of everything drawn; 0 (default)")
    add(
        "--device",
        default="",
        help="of torch, such as cpu, cuda or cuda:1; default: cpu for the bundled model, and for others cuda where it is",
    )
    add(
        "--scene",
        default="nerf",
        help="nerf (default), or image, where the bundled model's inversions begin at t = 0.1 unless --set inversion_start=0, as in the paper",
    )
    add("--root", default="runs", help="folder of all runs; the same settings find the same run")
    add(
        "--set",
        nargs="*",
        action="extend",
        default=[],
        metavar="name=value",
        help="further settings: of the rule, and those of sdilib.Text3D, or with --scene image sdilib.Text2D",
    )


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    given = pairs("set", options.set)

    from sdilib.guidance.named import rule_settings
    from sdilib.lab.runs import distilled
    from sdilib.lab.runs.exporting import pictures
    from sdilib.lab.runs.folders import SCENES
    from sdilib.stable_diffusion import StableDiffusion

    kind = SCENES[options.scene]
    # The noise choice first: it has settings of its own.
    kappa = {"kappa": given["kappa"]} if "kappa" in given else {}
    read = rule_settings(options.rule, kappa | {k: settings[k] for k in _GAMMAS if k in settings})
    if "inversion_start" not in read:  # another noise than the preset's
        settings.pop("inversion_start", None)
    known = kind.of(**settings | kappa).settings()
    for name, word in given.items():
        one_of("set", name, known)
        settings[name] = typed(name, word, known[name])
    config = kind.of(**settings)
    how = {"device": options.device or None, "dtype": getattr(config, "precision", None)}
    model = StableDiffusion.from_pretrained(config.model, **how)
    made = distilled(config, root=options.root, model=model)
    if made.diverged:
        raise RuntimeError(f"the run diverged: {made.diverged}; its record: {made.folder}")
    try:
        for path in pictures(made, model):
            sys.stdout.write(f"{path}\n")
    except KeyboardInterrupt:
        message = f"stopped; the run is saved: {made.folder}; the same command draws its views"
        raise KeyboardInterrupt(message) from None
    return 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The options, checked, and for the rest the preset's values and those of the method's authors."""
    from sdilib.lab.paper_settings import OFFICIAL_2D, official
    from sdilib.lab.practice import SAMPLED
    from sdilib.lab.presets import fitting, resolve
    from sdilib.stable_diffusion.names import check_name, of_world

    text("prompt", options.prompt)
    text("negative_prompt", options.negative_prompt, empty=True)
    positive_int("steps", options.steps, at_least=0)
    positive_int("seed", options.seed, at_least=0)
    gammas = {name: getattr(options, name) for name in _GAMMAS}
    gammas = {name: finite(name, value) for name, value in gammas.items() if value is not None}
    from sdilib.lab.methods import method_of

    rule, scene = options.rule, one_of("scene", options.scene, ("nerf", "image"))
    method, model = method_of(rule), options.model
    preset = options.preset or ("laptop" if not model or of_world(model) else "gpu")
    if scene == "nerf":
        settings = resolve("run3d", preset, model=model, steps=options.steps)
        settings = fitting(settings, rule)
    else:
        steps = "sds_steps" if method.image else "sdi_steps"
        found = resolve("run", preset, model=model, **{steps: options.steps})
        own = ("model", "guidance_scale", "start_guidance_scale", "inversion_start")
        settings = {name: found[name] for name in own if name in found}
        settings = fitting(settings, rule) | {"steps": found[steps]}
    check_name(str(settings["model"]))
    settings.pop("preset", None)
    settings |= {"prompt": options.prompt, "rule": rule, "seed": options.seed}
    settings["negative_prompt"] = options.negative_prompt
    settings |= method.settings(scene, settings.get("guidance_scale", SAMPLED), settings["steps"])
    if one_of("variant", options.variant, ("paper", "official")) == "official":
        if rule != "sdi":
            reject("variant", "official", f"paper for rule {rule}: the published code is of sdi")
        settings.pop("inversion_start", None)  # the preset's, for the bundled model
        settings |= official() if scene == "nerf" else OFFICIAL_2D
    return settings | gammas
