"""`python -m sdilib.lab.train vae|unet|evaluator --out FOLDER`: train the bundled models, or resume their training."""

import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from sdilib.lab.train.evaluator import EvaluatorConfig, train_evaluator
from sdilib.lab.train.unet import UNetConfig, check_autoencoder, train_unet
from sdilib.lab.train.vae import VAEConfig, train_vae
from sdilib.lab.world.dataset import make_dataset


@dataclass(frozen=True, slots=True)
class Options:
    """What to train and where to keep it.

    Args:
        part: the autoencoder first, then the network with its text encoder; the evaluator stands alone.
        out: folder for data, checkpoints, logs and the finished pipeline.
        count: number of the autoencoder's and the network's training pictures.
        vae: settings of the autoencoder.
        unet: settings of the network.
        evaluator: settings of the evaluator, its own data among them.
    """

    part: tyro.conf.Positional[Literal["vae", "unet", "evaluator"]]
    out: Path = Path("runs/train")
    count: int = 32_000
    vae: VAEConfig = field(default_factory=VAEConfig)
    unet: UNetConfig = field(default_factory=UNetConfig)
    evaluator: EvaluatorConfig = field(default_factory=EvaluatorConfig)


def parsed(words: Sequence[str]) -> Options:
    """Parse a command line.

    Args:
        words: after the program's name.

    Raises:
        ValueError: an unknown, missing or wrong word, in one sentence in place of the parser's box of several lines.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(Options, prog="sdilib train", args=words)
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        lines = " ".join(re.findall(r"│ +(.+?) *│", said.getvalue()))
        raise ValueError(f"{lines.split(' ──')[0].rstrip('.')}; see sdilib train --help") from None


def main(words: Sequence[str]) -> None:
    """Parse the command line and train.

    Args:
        words: after the program's name.
    """
    options = parsed(words)
    if options.part == "evaluator":
        train_evaluator(options.evaluator, out=options.out / "evaluator")
        return
    vae = options.out / "vae" / "vae"
    if options.part == "unet":
        check_autoencoder(vae)  # before pictures are rendered
    data = make_dataset(options.out / "data", count=options.count)
    if options.part == "vae":
        train_vae(options.vae, data, out=options.out / "vae")
    else:
        train_unet(
            options.unet, data, vae=vae, out=options.out / "unet", pipeline=options.out / "mini"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
