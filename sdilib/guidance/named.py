"""Rules by name, and the settings that each one reads; used wherever a rule is given by name.

A user-defined rule is named by its location: "package.module:Rule", "rule.py:Rule", or "rule.py" if
the file defines a single rule. It is called with the denoiser, and with the settings that are its
parameters. `RunSettings` is what the settings of a run in 2D and in 3D begin with: the prompt, the model and a rule.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, fields
from functools import lru_cache
from inspect import Parameter, signature
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from sdilib.checks import (
    check_settings,
    finite,
    like,
    one_of,
    reject,
    setting,
    settle_numbers,
    text,
)
from sdilib.denoiser import Denoiser
from sdilib.guidance.base import Rule, View
from sdilib.guidance.hifa import HiFA, HiFAOneStep
from sdilib.guidance.neighbours import ASD, CFD, SDSBridge
from sdilib.guidance.sdi import ISM, MVSDI, PFD, SDI
from sdilib.guidance.sds import CSD, NFSD, SDS, SJC, StableSD
from sdilib.guidance.stein import SteinDreamer
from sdilib.guidance.vsd import ESD, VSD
from sdilib.inversion import (
    Cached,
    DDIMInversion,
    FixedNoise,
    FixedPoint,
    GradientDescent,
    RandomNoise,
)
from sdilib.oracle import GaussianMixture
from sdilib.seeds import generator
from sdilib.stable_diffusion.precision import AUTO, PRECISIONS

RULES: Mapping[str, Callable[..., Rule]] = MappingProxyType(
    {
        "sdi": SDI,
        "sds": SDS,
        "ism": ISM,
        "sjc": SJC,
        "nfsd": NFSD,
        "csd": CSD,
        "stablesd": StableSD,
        "mv-sdi": MVSDI,
        "pfd": PFD,
        "hifa": HiFA,
        "hifa-one-step": HiFAOneStep,
        "vsd": VSD,
        "esd": ESD,
        "steindreamer": SteinDreamer,
        "asd": ASD,
        "sds-bridge": SDSBridge,
        "cfd": CFD,
    }
)
"""The library's rules. The noise of SDI, MV-SDI and your own rules derived from SDI is one of `KAPPAS`."""

KAPPAS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "inversion": DDIMInversion,
        "random": RandomNoise,
        "fixed": FixedNoise,
        "cached": Cached,
        "fixed point": FixedPoint,
        "gradient descent": GradientDescent,
    }
)
"""The choices of kappa in section 6.2; "cached" in 2D only, where nothing but the rule moves the image."""

_INVERSE = "inversion_guidance_scale"
_OUTSIDE = {  # names of a noise choice's parameters among its rule's settings
    "guidance_scale": _INVERSE,
    "num_iterations": "num_inversion_steps",
    "learning_rate": "descent_rate",
}
_DEFAULTS = {"guidance_scale": 7.5}
"""Replaces the rules' own defaults: one gamma, that of 2D sampling, so that rules can be compared."""


def rule_settings(
    name: str, settings: Mapping[str, Any] | None = None, *, taken: Iterable[str] = ()
) -> dict[str, Any]:
    """Return every setting that a rule reads, with defaults for those not given.

    They are the rule's own, except that gamma is 7.5 for every rule, gamma_inv of SDI is -gamma, and PFD's 1 - gamma.

    Args:
        name: a key of `RULES`, or the location of a user-defined rule.
        settings: by name; "kappa" chooses SDI's noise, which has further settings of its own.
        taken: names of the run's own settings, which a rule may not use.

    Raises:
        ValueError: an unknown rule or noise, a setting that the rule does not read, or a rule with a
            setting whose name is taken.
    """
    if not isinstance(settings, Mapping | None):
        reject("rule_settings", settings, "settings by name")
    given = dict(settings or {})
    maker = _maker(name)
    own = _parameters(maker)
    if _takes_a_kappa(maker):
        kappa = one_of("kappa", given.get("kappa", "inversion"), KAPPAS)
        inner = _parameters(KAPPAS[kappa])
        own |= {"kappa": kappa} | {_OUTSIDE.get(key, key): of for key, of in inner.items()}
        own.pop("start", None)
    for key in own.keys() & set(taken):
        reject("rule", name, f"a rule without a setting called {key}, which is the run's own")
    # A run's name can hold plain values only: any other default is left to the rule.
    plain = {k: v for k, v in own.items() if v is None or isinstance(v, bool | int | float | str)}
    known = plain | {key: value for key, value in _DEFAULTS.items() if key in plain}
    for key in given:
        if key not in known:
            listed = ", ".join(known) or "none"
            reject("setting", key, f"one that rule {name} reads: {listed}", known=known)
    whole: dict[str, Any] = known | {
        key: like(key, value, known[key]) for key, value in given.items()
    }
    if _INVERSE in whole and known[_INVERSE] is None:
        whole[_INVERSE] = _inverse(maker, whole)
    return whole


def _inverse(maker: Callable[..., Any], settings: Mapping[str, Any]) -> float:
    """gamma_inv as given, or as it follows from gamma."""
    given, gamma = settings[_INVERSE], finite("guidance_scale", settings["guidance_scale"])
    if given is not None:
        return finite(_INVERSE, given)
    return 1 - gamma if isinstance(maker, type) and issubclass(maker, PFD) else -gamma


def make_rule(
    name: str, denoiser: Denoiser, settings: Mapping[str, Any], *, eps: Tensor | None = None
) -> Rule:
    """Construct a rule.

    Args:
        name: a key of `RULES`, or the location of a user-defined rule.
        denoiser: frozen.
        settings: see `rule_settings`, also for the defaults, which are not always the class's own.
        eps: prediction at t = 1, the first cached noise.

    Raises:
        ValueError: as in `rule_settings`, or a value that the rule refuses.
    """
    known, maker = rule_settings(name, settings), _maker(name)
    if _takes_a_kappa(maker):
        kind = KAPPAS[known.pop("kappa")]
        inner = {
            key: known.pop(_OUTSIDE.get(key, key)) for key in _parameters(kind) if key != "start"
        }
        known["kappa"] = Cached(eps) if kind is Cached else kind(**inner)
    return maker(denoiser, **known)


def cost(name: str, settings: Mapping[str, Any], t: float) -> int:
    """Return the UNet sample-forwards of one item's update, counted by running it on a mixture of two points.

    Averaged over a run's times, this compares rules at equal work. Negative prompts given as words are not counted,
    since the mixture reads no text; for a rule that trains, only forward passes count.

    Args:
        name: as in `make_rule`.
        settings: see `rule_settings`.
        t: in (0, 1].
    """
    counted = GaussianMixture(torch.zeros(2, 4, 2, 2), torch.ones(2), torch.ones(2))
    view = View(counted.prompt([[0]]))
    rule, x0 = make_rule(name, counted, settings), torch.zeros(1, 4, 2, 2)
    at = torch.tensor([t], dtype=torch.float64)
    return rule(x0, at, view, generator(0, 0, "cost")).num_forwards


Run = TypeVar("Run", bound="RunSettings")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the settings of all runs begin with: the prompt, the model, and the rule with its own settings.

    Attributes:
        prompt: what to make.
        model: "mini" (bundled), a folder in diffusers' format, or a hub id.
        precision: type of its weights: "auto", "float32", "float16" or "bfloat16" (see `usable_precision`).
        rule: one of `RULES`, or a user-defined rule.
        rule_settings: the rule's settings, by name; those left out take the defaults of `rule_settings`, here
            replaced by `INVERSION`.
        negative_prompt: replaces ∅ in eq. 3, in inversions too; "" is the empty prompt.

    Raises:
        ValueError: a setting outside its range; the message names it.
    """

    prompt: str
    model: str = setting("mini", text)
    _: KW_ONLY
    precision: str = setting(AUTO, one_of, (AUTO, *PRECISIONS))
    rule: str = setting("sdi", text)
    rule_settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    negative_prompt: str = setting("", text, empty=True)

    INVERSION: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Replaces the defaults of SDI's inversion."""

    def __post_init__(self) -> None:
        """Check the settings, and fill in the rule's, since all of them name the run."""
        text("prompt", self.prompt)
        settle_numbers(self)
        check_settings(self)
        given, own = _mapping(self.rule_settings), [each.name for each in fields(self)]
        whole = rule_settings(self.rule, given, taken=own)
        if whole.get("kappa") == "inversion":
            whole |= {name: of for name, of in self.INVERSION.items() if name not in given}
        object.__setattr__(self, "rule_settings", whole)

    @classmethod
    def of(cls: type[Run], **settings: Any) -> Run:
        """Return a run from its settings by name, including the rule's.

        Args:
            **settings: as `settings` returns them; those left out take their defaults.

        Raises:
            ValueError: an unknown setting, or one outside its range.
        """
        own = {each.name for each in fields(cls)}
        rest = {name: value for name, value in settings.items() if name not in own}
        rest |= _mapping(settings.get("rule_settings"))
        kappa = {name: value for name, value in rest.items() if name == "kappa"}
        known = [*sorted(own), *rule_settings(text("rule", settings.get("rule", "sdi")), kappa)]
        for name in rest:
            one_of("setting", name, known)
        each: dict[str, Any] = {name: of for name, of in settings.items() if name in own}
        each["rule_settings"] = rest
        return cls(**each)

    def settings(self) -> dict[str, Any]:
        """Return all settings by name; `of(**settings)` gives the same run, also after a trip through JSON."""
        own = asdict(self)
        return own | own.pop("rule_settings")


def _mapping(settings: Any) -> Mapping[str, Any]:
    if settings is not None and not isinstance(settings, Mapping):
        reject("rule_settings", settings, "settings by name")
    return settings or {}


def rule_version(name: str) -> str:
    """Return a hash of the file that defines a user's rule; "" for the library's rules.

    Args:
        name: as in `make_rule`.
    """
    if name in RULES:
        return ""
    path = _module(name).__file__
    return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()[:16]


def _maker(name: str) -> Callable[..., Rule]:
    if name in RULES:
        return RULES[name]
    if ":" not in name and not name.endswith(".py"):
        expected = f"{', '.join(RULES)}, or a rule of your own as module:Rule or file.py:Rule"
        reject("rule", name, f"one of {expected}", known=RULES)
    module, wanted = _module(name), name.rpartition(":")[2] if ":" in name else ""
    rules = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and any("__call__" in vars(base) for base in value.__mro__)
    }
    if wanted:
        found = getattr(module, wanted, None) or rules[one_of("rule", wanted, rules)]
        if not isinstance(found, type):
            reject("rule", name, "a class, which is called with the denoiser and makes the rule")
        return found
    if len(rules) != 1:
        listed = ", ".join(rules) or "none"
        reject("rule", name, f"a file that defines one rule, or file.py:Rule (found: {listed})")
    return next(iter(rules.values()))


def _module(name: str) -> ModuleType:
    where = name.rpartition(":")[0] or name
    if not where.endswith(".py"):
        try:
            return importlib.import_module(where)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            reject("rule", name, f"a module that can be imported ({problem})")
    path = Path(where).expanduser()
    if not path.is_file():
        reject("rule", name, "an existing file")
    return _loaded(path, hashlib.sha256(path.read_bytes()).hexdigest(), name)


@lru_cache(maxsize=32)
def _loaded(path: Path, digest: str, name: str) -> ModuleType:
    """Run a file as a module, once per content: a run looks its rule up several times."""
    spec = importlib.util.spec_from_file_location(f"sdilib_rule_{path.stem}", path)
    if spec is None or spec.loader is None:
        reject("rule", name, "a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look annotations up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        reject("rule", name, f"a file that Python can run ({problem})")
    return module


def _takes_a_kappa(maker: Callable[..., Any]) -> bool:
    """Whether its noise is one of `KAPPAS`: SDI, and rules derived from it."""
    return isinstance(maker, type) and issubclass(maker, SDI)


def _parameters(maker: Callable[..., Any]) -> dict[str, Any]:
    """Settings with their defaults: every parameter that has one, hence not the denoiser."""
    return {
        key: of.default
        for key, of in signature(maker).parameters.items()
        if of.default is not Parameter.empty
    }
