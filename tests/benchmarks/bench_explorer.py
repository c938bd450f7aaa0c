"""Seconds from a click on Start in the explorer to the first picture, of an image and of an object, the model loaded.

Run by `make bench`; no judgement. The pictures are those that a page would get.
"""

import argparse
import sys
import tempfile
import time

from sdilib.lab.explorer import Explorer
from sdilib.stable_diffusion import StableDiffusion


def main() -> None:
    """Print a line for each kind of scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    options, _ = parser.parse_known_args()  # a batch is for the others
    model = StableDiffusion.from_pretrained(options.model)
    for scene in ("image", "nerf"):
        with tempfile.TemporaryDirectory() as root:
            explorer = Explorer(model, scene=scene, num_steps=20, root=root)
            picture = explorer.cards[1].images["image"]
            blank, began = picture.value, time.perf_counter()
            explorer.start()
            while picture.value == blank:
                explorer.session.wait(explorer.session.snapshot, 0.01)
            seconds = time.perf_counter() - began
            explorer.close()
        sys.stdout.write(f"explorer, first picture, {scene:<6} {seconds:.2f} s\n")


if __name__ == "__main__":
    main()
