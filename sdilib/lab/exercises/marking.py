"""How an answer is marked: compared with the right one, and with what the usual mistakes would return."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on an answer.

    Attributes:
        of: the function's name, or the notebook's if it has none.
        right: whether everything is right.
        says: "right", or what is wrong, in one sentence.
    """

    of: str
    right: bool
    says: str

    def __repr__(self) -> str:
        """Return the verdict as a cell shows it."""
        return f"{self.of}: {self.says}"


class _WrongError(Exception):
    """Carries the sentence of a verdict."""


@dataclass(frozen=True, slots=True, eq=False)
class Exercise:
    """A function to be written.

    Attributes:
        outputs: names of the tensors that it returns.
        cases: arguments that it is called with.
        right: returns the right answer.
        mistakes: by their sentence, the parts of `right` that they replace. The verdict names the first mistake that
            explains the first wrong output in all cases.
    """

    outputs: tuple[str, ...]
    cases: Sequence[tuple[Any, ...]]
    right: Callable[..., Any]
    mistakes: Mapping[str, Mapping[str, Any]]

    def mark(self, answer: Callable[..., Any]) -> Verdict:
        """Return the verdict on an answer.

        Args:
            answer: takes a case's arguments; as somebody else's code, it may do or return anything.
        """
        try:
            says = self._wrong(answer)
        except _WrongError as error:
            says = str(error)
        if says and Ellipsis in getattr(getattr(answer, "__code__", None), "co_consts", ()):
            says = "there is a blank (...) left to fill"
        return Verdict(getattr(answer, "__name__", "answer"), not says, says or "right")

    def _wrong(self, answer: Callable[..., Any]) -> str:
        expected, found = self._outputs(self.right), self._outputs(answer)
        for k, name in enumerate(self.outputs):
            for a, b in zip(found[k], expected[k], strict=True):
                if a.shape != b.shape:
                    return f"{name} has the shape {tuple(a.shape)} where {tuple(b.shape)} is asked"
                if not bool(a.isfinite().all()):
                    return f"{name} holds numbers that are not finite"
            if not _close(found[k], expected[k]):
                off = float(_all(found[k]).dist(_all(expected[k])) / _all(expected[k]).norm())
                unknown = f"{name} is off by {off:.0%} of its size, by none of the usual mistakes"
                return self._explained(found[: k + 1]) or unknown
        return ""

    def _explained(self, found: Sequence[Sequence[Tensor]]) -> str:
        """The mistake that explains all of the given outputs."""
        for sentence, parts in self.mistakes.items():
            made = self._outputs(partial(self.right, **parts))
            if all(_close(a, b) for a, b in zip(found, made, strict=False)):
                return sentence
        return ""

    def _outputs(self, function: Callable[..., Any]) -> list[tuple[Tensor, ...]]:
        """Each output in all cases."""
        return list(zip(*(self._called(function, case) for case in self.cases), strict=True))

    def _called(self, function: Callable[..., Any], case: tuple[Any, ...]) -> list[Tensor]:
        """What a function returns, as a tensor for each output."""
        own = (each.clone() if isinstance(each, Tensor) else each for each in case)
        try:
            returned = function(*own)
            if returned is None:
                raise _WrongError("it returns nothing")
            several = returned if isinstance(returned, tuple | list) else [returned]
            tensors = [torch.as_tensor(each, dtype=torch.float64).detach() for each in several]
        except _WrongError:
            raise
        except Exception as error:
            raise _WrongError(raised("it", error)) from error
        if len(tensors) != len(self.outputs):
            asked = " and ".join(self.outputs)
            raise _WrongError(f"it returns {len(tensors)} values where it should return {asked}")
        return tensors


def _all(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.flatten() for each in tensors])


def _close(found: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Equal up to the rounding of single precision."""
    size = float(_all(other).abs().max())
    return torch.allclose(_all(found), _all(other), rtol=1e-4, atol=1e-5 * size)


def raised(what: str, error: BaseException) -> str:
    """Return a sentence for an exception.

    Args:
        what: what stopped with it.
        error: its text may be long and have several lines.
    """
    words = " ".join(str(error).split())
    return f"{what} stopped with {type(error).__name__}: {words[:200]}"
