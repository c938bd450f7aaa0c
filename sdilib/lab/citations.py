"""What to cite for a run: its rule, its scene, its model and the settings that others have published."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from sdilib.checks import one_of
from sdilib.stable_diffusion.names import BUNDLED, RANDOM

_SDI, _DDIM = "lukoianov2024score", "song2021denoising"

_RULES: Mapping[str, tuple[str, ...]] = {
    "sds": ("poole2023dreamfusion",),
    "sjc": ("wang2023score",),
    "vsd": ("wang2023prolificdreamer",),
    "esd": ("wang2024taming", "wang2023prolificdreamer"),
    "hifa": ("zhu2024hifa",),
    "hifa-one-step": ("zhu2024hifa",),
    "ism": ("liang2024luciddreamer", _DDIM),
    "sdi": (_DDIM,),
    "mv-sdi": ("mvsdi2026", _DDIM),
    "pfd": ("pfd2026", _DDIM),
    "nfsd": ("katzir2024noise",),
    "csd": ("yu2024text",),
    "stablesd": ("tang2023stable",),
    "steindreamer": ("wang2024steindreamer",),
    "asd": ("ma2024scaledreamer",),
    "sds-bridge": ("mcallister2024rethinking",),
    "cfd": ("yan2025consistent",),
}

_SETTINGS: Mapping[str, str] = {
    "view_words": "poole2023dreamfusion",
    "perp_neg": "armandpour2023re",
    "progressive_share": "li2023neuralangelo",
    "z_variance": "zhu2024hifa",
    "emptiness": "wang2023score",
    "orientation": "verbin2022ref",
}
"""By the name of a setting, if it is on."""


def cited(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of what a run used, the paper on SDI first.

    Args:
        config: settings of the run, as in its `config.json`.
    """
    keys = [_SDI, *_RULES.get(config["rule"], ()), "ho2022classifier"]
    if config.get("scene", "nerf") == "nerf":
        keys += ["mueller2022instant", "li2023nerfacc"]
    keys += [key for name, key in _SETTINGS.items() if config.get(name)]
    if config.get("t_schedule") == "dreamtime":
        keys.append("huang2024dreamtime")
    # The bundled model is this library's own, in Stable Diffusion's format.
    own = config["model"] in (*BUNDLED, *RANDOM)
    keys += ["sdilib" if own else "rombach2022high"]
    return list(dict.fromkeys(keys))


def bibtex(key: str) -> str:
    """Return a BibTeX entry.

    Args:
        key: of `references.bib`.

    Raises:
        ValueError: an unknown key.
    """
    entries = _entries()
    return entries[one_of("key", key, entries)]


@cache
def _entries() -> dict[str, str]:
    text = (files("sdilib.lab") / "references.bib").read_text(encoding="utf-8")
    found = re.findall(r"^(@\w+\{([^,]+),.*?^\})", text, re.MULTILINE | re.DOTALL)
    return {key: entry for entry, key in found}
