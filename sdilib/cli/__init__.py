"""The command line, `sdilib` or `python -m sdilib`: options are read, and their types checked, before torch is imported.

Bad input gives one sentence on standard error and exit code 2, and nothing is written; later failures exit with 1. (argparse
rather than tyro, whose boxed reports take several lines and whose import takes as long as `make figures` may take to find
nothing to do.)
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sdilib.checks import NonFiniteError, closest, positive_int
from sdilib.cli.app import add_app
from sdilib.cli.arguments import integer
from sdilib.cli.figures import add_figures
from sdilib.cli.grade import add_grade
from sdilib.cli.run import add_run
from sdilib.cli.runs import add_runs
from sdilib.cli.score import add_cite, add_score
from sdilib.cli.sweep import add_sweep

_THREADS = ("MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


# argparse's own pattern takes -1e1 for an option.
_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|-inf$|-nan$", re.IGNORECASE)


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one sentence."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._negative_number_matcher = _NUMBER

    def parse_known_args(self, *words: Any, **options: Any) -> Any:
        # A command's parser itself refuses what it does not know: its parent has none of its options to suggest.
        found, unknown = super().parse_known_args(*words, **options)
        # Words after an option belong to the list of words before it.
        lists = [each.dest for each in self._get_positional_actions() if each.nargs in ("*", "+")]
        if lists and not any(word.startswith("-") for word in unknown):
            setattr(found, lists[0], [*getattr(found, lists[0]), *unknown])
            unknown = []
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
        sys.stderr.write(f"{self.prog}: {' '.join(message.split())}\n")
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
    except SystemExit as stop:  # from argparse, after --help or an error, or from a reader's rule
        return _say(stop.code, 1) if isinstance(stop.code, str) else int(stop.code or 0)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        return _say(error, 2)
    except (ImportError, NonFiniteError, RuntimeError) as error:
        return _say(error, 1)
    except KeyboardInterrupt as stop:  # commands other than run keep some of their results
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

    add_run(command)
    add_runs(command)
    add_app(command)
    add_sweep(command)
    add_score(command)
    add_cite(command)
    add_grade(command)
    add_figures(command)
    card = command("model-card", _model_card, "measure a model of the world and write its card")
    card.add_argument("--model", default="mini", help="mini (default), or a trained folder")
    card.add_argument(
        "--out", default="", help="of quality.json and README.md; default the model's"
    )
    card.add_argument("--evaluator", default="evaluator", help="the bundled one, or a folder")
    card.add_argument("--training", default="", help="folder that the model was trained in")
    card.add_argument("--count", type=integer, default=1000, help="number of samples")
    card.add_argument("--build", default="build/model-card", help="where samples are kept")
    card.add_argument("--again", action="store_true", help="also what is measured already")
    gpu = command("gpu-check", _gpu_check, "check a GPU against the CPU, and time a step on it")
    gpu.add_argument("--out", default="build/gpu-check.json", help="record to write")
    gpu.add_argument("--size", type=integer, default=512, help="of the step's render, in pixels")
    gpu.add_argument("--model", default="sd21", help="of the step; default: SD 2.1's shape, random")
    commands.add_parser("train", help="train the bundled model; see sdilib train --help")
    return parser


def _model_card(options: argparse.Namespace) -> int:
    from sdilib.lab.model_card import write_model_card

    given = {name: value for name, value in vars(options).items() if name != "command"}
    sys.stdout.write(f"{write_model_card(**given)}\n")
    return 0


def _gpu_check(options: argparse.Namespace) -> int:
    from sdilib.lab.gpu_check import check_gpu, summary
    from sdilib.storage import write_json

    record = check_gpu(size=options.size, model=options.model)
    path = write_json(options.out, record)
    sys.stdout.write("".join(f"{line}\n" for line in (*summary(record), str(path))))
    return 1 if any(check["passed"] is False for check in record["checks"]) else 0


def _train(words: Sequence[str]) -> int:
    from sdilib.lab.train.__main__ import main as train

    train(words)
    return 0
