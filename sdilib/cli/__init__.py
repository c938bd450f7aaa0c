"""The command line, `sdilib` or `python -m sdilib`: arguments are read and checked first, then torch is imported.

Bad input is one sentence on standard error and exit code 2, and nothing is written; what fails later exits 1. (argparse rather
than tyro, whose boxed reports are several lines and which imports for as long as `make figures` may take to find nothing to do.)
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sdilib.checks import NonFiniteError, closest, finite, one_of, positive_int, reject
from sdilib.cli.figures import add_figures

__all__ = ["main"]

_THREADS = ("MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_RULES = ("sdi", "sds", "ism")
_SCENES = ("nerf", "image")
_INVERSION_SCALE = -7.5
_RUNS_ACTIONS = ("list", "show", "export", "remove")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def parse_known_args(self, *words: Any, **options: Any) -> Any:
        # A command's parser refuses what it does not know itself: the one above has none of its options to suggest.
        found, unknown = super().parse_known_args(*words, **options)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        close = ""
        if unknown := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            close = closest(unknown[1], self._option_string_actions)
        elif wrong := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            close = closest(wrong[1], re.findall(r"[\w-]+", wrong[2]))
        message += f"; did you mean {close}?" if close else ""
        sys.stderr.write(f"{self.prog}: {message}\n")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the program's name; None takes the process's own.

    Returns:
        The exit code: 0, 1 for a failure on the way, 2 for bad input, 130 for Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _limit_threads(os.environ.get("SDILIB_THREADS", ""))
        if words[:1] == ["train"]:
            return _train(words[1:])
        options = _parser().parse_args(words)
        return options.command(options)
    except SystemExit as stop:  # argparse's own, after --help or its sentence
        return int(stop.code or 0)
    except (ValueError, OSError) as error:
        return _say(error, 2)
    except (ImportError, NonFiniteError, RuntimeError) as error:
        return _say(error, 1)
    except KeyboardInterrupt as stop:  # the other commands than run keep some of what they made
        unsaid = "stopped; nothing was saved" if words[:1] == ["run"] else "stopped"
        return _say(str(stop) or unsaid, 130)


def _say(message: object, code: int) -> int:
    sys.stderr.write(f"sdilib: {' '.join(str(message).split())}\n")
    return code


def _limit_threads(text: str) -> None:
    if text:
        threads = str(positive_int("SDILIB_THREADS", int(text) if text.isdecimal() else text))
        os.environ.update(dict.fromkeys(_THREADS, threads))


def _parser() -> _Parser:
    parser = _Parser(
        prog="sdilib", description="Score distillation as reparametrised DDIM.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=_Parser)

    def command(name: str, function: Callable[[Any], int], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        added.set_defaults(command=function)
        return added

    _add_run(command("run", _run, "distil a 3D object, or an image, from a prompt"))
    runs = command(
        "runs",
        _runs,
        "list, show, export or remove 3D runs; the images of run --scene image are not among them",
    )
    runs.add_argument("action", nargs="?", default="list", help=", ".join(_RUNS_ACTIONS))
    runs.add_argument(
        "names",
        nargs="*",
        help="of runs, or a beginning that is of one only; remove takes all unfinished ones as unfinished",
    )
    runs.add_argument("--root", default="runs", help="folder of all runs")
    add_figures(command, _pairs)
    card = command("model-card", _model_card, "measure a model of the world and write its card")
    card.add_argument("--model", default="mini", help="mini (default), or a trained folder")
    card.add_argument(
        "--out", default="", help="of quality.json and README.md; default the model's"
    )
    card.add_argument("--evaluator", default="evaluator", help="the bundled one, or a folder")
    card.add_argument("--training", default="", help="folder that the model was trained in")
    card.add_argument("--count", type=_integer, default=1000, help="number of samples")
    card.add_argument("--build", default="build/model-card", help="where samples are kept")
    gpu = command("gpu-check", _gpu_check, "check a GPU against the CPU, and time a step on it")
    gpu.add_argument("--out", default="build/gpu-check.json", help="record to write")
    gpu.add_argument("--size", type=_integer, default=512, help="of the step's render, in pixels")
    gpu.add_argument("--model", default="sd21", help="of the step; default: SD 2.1's shape, random")
    commands.add_parser("train", help="train the bundled model; see sdilib train --help")
    return parser


def _add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="laptop", help="smoke, laptop (default), full or gpu")


def _add_preset_and_model(parser: argparse.ArgumentParser) -> None:
    _add_preset(parser)
    parser.add_argument(
        "--model", default="", help="mini, a folder or a hub id; default: the preset's"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prompt",
        required=True,
        help="what to make, as in 'a red mug'; without words for its view",
    )
    parser.add_argument("--rule", default="sdi", help="sdi (default), sds or ism")
    _add_preset_and_model(parser)
    parser.add_argument("--steps", type=_integer, default=0, help="0: the preset's")
    parser.add_argument(
        "--guidance-scale", type=_number, default=7.5, help="gamma of eq. 3; default 7.5"
    )
    parser.add_argument(
        "--inversion-guidance-scale",
        type=_number,
        default=_INVERSION_SCALE,
        help="gamma of the inversion; sdi only; default -7.5",
    )
    parser.add_argument("--seed", type=_integer, default=0, help="of everything drawn; 0 (default)")
    parser.add_argument(
        "--device",
        default="",
        help="of torch, such as cpu, cuda or cuda:1; default: cpu for the bundled model, and for others cuda where it is",
    )
    parser.add_argument("--scene", default="nerf", help="nerf (default), or image")
    parser.add_argument(
        "--out", default="", help="of an image; default runs/RULE-PROMPT-SEED, which must be new"
    )
    parser.add_argument(
        "--root", default="runs", help="folder of all 3D runs; the same settings find the same run"
    )
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="name=value",
        help="further settings of a 3D run, see sdilib.text_to_3d.Text3D",
    )


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a finite number") from None


def _run(options: argparse.Namespace) -> int:
    from sdilib.lab.presets import resolve

    one_of("rule", options.rule, _RULES)
    if not options.prompt.strip():
        reject("prompt", options.prompt, "a text with at least one word")
    positive_int("steps", options.steps, at_least=0)
    positive_int("seed", options.seed, at_least=0)
    finite("guidance_scale", options.guidance_scale)
    finite("inversion_guidance_scale", options.inversion_guidance_scale)
    if options.rule != "sdi" and options.inversion_guidance_scale != _INVERSION_SCALE:
        expected = f"{_INVERSION_SCALE}, the default, unless the rule is sdi"
        reject("inversion_guidance_scale", options.inversion_guidance_scale, expected)
    if one_of("scene", options.scene, _SCENES) == "nerf":
        return _run_3d(options)
    if options.set:
        reject("set", " ".join(options.set), "nothing with --scene image: the settings of a 3D run")
    steps = {f"{options.rule}_steps": options.steps}
    settings = resolve("run", options.preset, model=options.model, **steps)
    settings = {
        "preset": options.preset,
        "model": settings["model"],
        "steps": settings[f"{options.rule}_steps"],
    }
    for name in ("prompt", "rule", "guidance_scale", "inversion_guidance_scale", "seed", "device"):
        settings[name] = getattr(options, name)

    from sdilib.storage import slug

    name = f"{options.rule}-{slug(options.prompt)}-{options.seed}"
    folder = Path(options.out or Path("runs") / name)
    if options.out and folder.exists():
        reject("out", options.out, "a folder that does not exist yet")
    if folder.exists():  # its name holds the rule, the prompt and the seed alone
        raise ValueError(
            f"{folder} is there already, made by the settings in its run.json; "
            "--out names another folder"
        )
    _write_run(folder, settings)
    sys.stdout.write(f"{folder / 'image.png'}\n")
    return 0


def _run_3d(options: argparse.Namespace) -> int:
    from dataclasses import fields

    from sdilib.lab.presets import SDS_TIMES, resolve

    if options.out:
        reject("out", options.out, "no folder for a 3D run, whose settings name it; see --root")
    settings = resolve("run3d", options.preset, model=options.model, steps=options.steps)
    del settings["preset"]
    for name in ("prompt", "rule", "guidance_scale", "inversion_guidance_scale", "seed"):
        settings[name] = getattr(options, name)
    if options.rule == "sds":
        settings |= SDS_TIMES

    from sdilib.guidance.named import rule_settings
    from sdilib.lab.exports import turntable, write_strip
    from sdilib.lab.runs import distilled
    from sdilib.stable_diffusion import StableDiffusion
    from sdilib.text_to_3d import Text3D

    kinds = {field.name: field.type for field in fields(Text3D)}
    kinds |= {name: type(value) for name, value in rule_settings(options.rule).items()}
    for name, value in _pairs("set", options.set).items():
        one_of("set", name, tuple(kinds))
        settings[name] = _typed(name, value, kinds[name])
    if options.rule != "sdi":
        del settings["inversion_guidance_scale"]
    config = Text3D.of(**settings)
    model = StableDiffusion.from_pretrained(config.model, device=_device(options.device))
    made = distilled(config, root=options.root, model=model)
    if made.scene is None:
        raise RuntimeError(f"the run diverged: {made.diverged}; its record: {made.folder}")
    try:
        for path in (made.folder / "views.png", made.folder / "turntable.gif"):
            if not path.exists():
                (write_strip if path.suffix == ".png" else turntable)(made.scene, path)
            sys.stdout.write(f"{path}\n")
    except KeyboardInterrupt:
        message = f"stopped; the run is saved: {made.folder}; the same command draws its views"
        raise KeyboardInterrupt(message) from None
    return 0


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            reject(option, word, "name=value")
        pairs[name] = value
    return pairs


def _typed(name: str, text: str, kind: Any) -> Any:
    try:
        if kind is bool:
            return {"True": True, "true": True, "False": False, "false": False}[text]
        if isinstance(kind, type):
            return kind(text)
        return tuple(float(part) for part in text.split(","))
    except (KeyError, ValueError):
        allowed = (
            f"a value of type {kind.__name__}"
            if isinstance(kind, type)
            else "two numbers, as in 0,45"
        )
        reject(name, text, allowed)


def _runs(options: argparse.Namespace) -> int:
    one_of("action", options.action, _RUNS_ACTIONS)

    from sdilib.lab import runs as jobs

    known = {run["name"]: run for run in jobs.known_runs(options.root)}
    if options.action == "list":
        if options.names:
            reject("names", " ".join(options.names), "none with list; show takes names")
        total = sum(run["bytes"] for run in known.values())
        lines = [_line(run) for run in known.values()]
        lines.append(
            f"{len(known)} 3D run{'' if len(known) == 1 else 's'}, {total / 2**20:.1f} MiB in "
            f"{options.root}; images by run --scene image are not listed"
        )
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return 0
    names = list(options.names)
    unfinished = options.action == "remove" and names == ["unfinished"]
    if unfinished:
        names = [name for name, run in known.items() if run["state"] == "unfinished"]
        if not names:
            sys.stdout.write(f"no unfinished run in {options.root}\n")
    elif not names:
        reject("names", "", "at least one run's name")
    names = list(dict.fromkeys(_whole_name(name, list(known), options.root) for name in names))
    if options.action == "remove":
        for name in names:  # one by one, so that what is said is what was done
            try:
                jobs.remove([name], options.root)
            except ValueError as error:
                if not unfinished:
                    raise
                sys.stdout.write(f"left: {error}\n")
            else:
                sys.stdout.write(f"removed {name}\n")
    elif options.action == "show":
        import json

        shown = [known[name] for name in names]
        sys.stdout.write(json.dumps(shown, indent=1, ensure_ascii=False) + "\n")
    else:
        for name in names:
            _export(known[name], options.root)
    return 0


def _whole_name(given: str, known: Sequence[str], root: str) -> str:
    """The one run that has this name, or a name that begins so."""
    found = [given] if given in known else [name for name in known if name.startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        expected = "the beginning of one run's name, not of several: "
        reject("names", given, expected + ", ".join(found))
    near = [name for name in known if closest(given, [name[: len(given)]])]
    such = ", such as " + ", ".join(near[:5]) if near else ""
    reject("names", given, f"one of the runs in {root}{such}")


def _line(run: dict[str, Any]) -> str:
    config = run["config"]
    return (
        f"{run['name']}  {run['state']}  {run['steps']}/{config['steps']} steps  "
        f"{run['bytes'] / 2**20:.1f} MiB"
    )


def _export(run: dict[str, Any], root: str) -> None:
    """Write everything a run can be taken away as, beside it."""
    from dataclasses import fields

    from sdilib.lab.exports import MESH_KINDS, nerf_mesh, turntable, write_mesh, write_strip
    from sdilib.lab.runs import address, distilled
    from sdilib.stable_diffusion import StableDiffusion
    from sdilib.text_to_3d import Text3D

    if run["state"] != "done":
        reject("names", run["name"], f"a finished run, not one that is {run['state']}")
    settings = {name: value for name, value in run["config"].items() if name != "model_hash"}
    if not {field.name for field in fields(Text3D)} - {"rule_settings"} <= set(settings):
        reject("names", run["name"], "a run with the settings of this version")
    config = Text3D.of(**settings)
    model = StableDiffusion.from_pretrained(config.model)
    # Or it would be distilled anew, for minutes, under another name.
    if address(config.on(model.device), model.hash) != run["name"]:
        reject("names", run["name"], "a run of the model and backend that its settings name here")
    made = distilled(config, root=root, model=model)
    assert made.scene is not None
    surface = nerf_mesh(made.scene.nerf)  # first: it is refused where nothing is dense enough
    written = [
        write_strip(made.scene, made.folder / "views.png"),
        turntable(made.scene, made.folder / "turntable.gif"),
        turntable(made.scene, made.folder / "turntable.mp4"),
        *(write_mesh(surface, made.folder / f"mesh.{kind}") for kind in MESH_KINDS),
    ]
    sys.stdout.write("".join(f"{path}\n" for path in written))


def _write_run(folder: Path, settings: dict[str, Any]) -> None:
    """Compute, write beside, rename: the folder is there only when it is whole."""
    from PIL import Image

    from sdilib.lab.images import distilled_images
    from sdilib.lab.presets import SDS_TIMES
    from sdilib.lab.provenance import versions
    from sdilib.stable_diffusion import StableDiffusion
    from sdilib.storage import write_json

    model = StableDiffusion.from_pretrained(settings["model"], device=_device(settings["device"]))
    # SDS draws t anew at each step and needs a small step to average; the others anneal t and take eq. 10's whole step.
    annealed = settings["rule"] != "sds"
    made = distilled_images(
        model,
        [settings["prompt"]],
        [settings["seed"]],
        rule=lambda model, _: _make_rule(model, settings),
        num_steps=settings["steps"],
        **({} if annealed else SDS_TIMES),
        learning_rate=None if annealed else 0.05,
        name=settings["rule"],
    )
    pixels = (made.images[0].permute(1, 2, 0) * 255).round().byte().numpy()
    record = settings | {
        "device": str(model.device),
        "model_hash": model.hash,
        "num_forwards": made.num_forwards,
        "seconds": round(made.seconds, 2),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        staging.mkdir()
        Image.fromarray(pixels).save(staging / "image.png")
        write_json(staging / "run.json", record | {"versions": versions()})
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _device(name: str) -> Any:
    import torch

    if not name:
        return None
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        reject("device", name, "a device that torch has here, such as cpu or cuda")
    return device


def _make_rule(model: Any, settings: dict[str, Any]) -> Any:
    from sdilib.guidance import ISM, SDI, SDS
    from sdilib.inversion import DDIMInversion

    scale = settings["guidance_scale"]
    if settings["rule"] == "sds":
        return SDS(model, scale)
    if settings["rule"] == "ism":
        return ISM(model, scale)
    return SDI(
        model, scale, kappa=DDIMInversion(guidance_scale=settings["inversion_guidance_scale"])
    )


def _model_card(options: argparse.Namespace) -> int:
    from sdilib.lab.model_card import write_model_card

    path = write_model_card(
        options.model,
        out=options.out,
        evaluator=options.evaluator,
        training=options.training,
        count=options.count,
        build=options.build,
    )
    sys.stdout.write(f"{path}\n")
    return 0


def _gpu_check(options: argparse.Namespace) -> int:
    positive_int("size", options.size)

    import torch

    if not torch.cuda.is_available():
        raise ValueError(
            f"gpu-check: no CUDA device is visible to torch {torch.__version__}: expected a CUDA "
            "build of torch, a driver, and a device that CUDA_VISIBLE_DEVICES does not hide"
        )
    from sdilib.lab.gpu_check import check_gpu, summary
    from sdilib.storage import write_json

    record = check_gpu(size=options.size, model=options.model)
    path = write_json(options.out, record)
    sys.stdout.write("".join(f"{line}\n" for line in (*summary(record), str(path))))
    return 1 if any(check["passed"] is False for check in record["checks"]) else 0


def _train(words: Sequence[str]) -> int:
    from sdilib.lab.train.__main__ import main as train

    sys.argv = ["sdilib train", *words]  # where its own parser looks
    train()
    return 0
