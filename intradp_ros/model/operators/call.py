"""
What a rule reads and what it answers: one call of a torch operator, and the rows it works on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from intradp_ros.errors import IntraDPError
from intradp_ros.model.graph import WHOLE, Kernel, Layout, Need, Tensor


class NotLocal(IntraDPError):
    """Raised by a rule: this call needs all rows. The message says why."""


@dataclass(frozen=True)
class Ref:
    """Stands in the arguments of a call where its input number `index` goes."""

    index: int


@dataclass
class Call:
    """
    One operator before it is known who needs which rows.

    `arguments` are those of the torch operator by name, with a `Ref` for each activation and
    tensors for weights; `inputs` and `output` are ids of tensors.
    """

    kind: str
    target: Any
    arguments: dict[str, Any]
    inputs: list[int]
    output: int
    name: str
    source: str = ''

    def get(self, name: str, default: Any = None) -> Any:
        """One argument, or `default` when the call leaves it out."""
        return self.arguments.get(name, default)


@dataclass(frozen=True)
class Rule:
    """
    A rule's answer: where the output has its rows, what they need, and how to compute a band.
    """

    layout: Layout
    needs: Sequence[Need]
    kernel: Callable[[torch.device], Kernel]
    borders: Callable[[int, int], tuple[int, int]] | None = None
    fill_value: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)


def to_device(value: Any, device: torch.device) -> Any:
    """Move the tensors in nested arguments to a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(to_device(v, device) for v in value)
    return value


def bind(value: Any, bands: Sequence[torch.Tensor]) -> Any:
    """Put the activations where their `Ref`s are."""
    if isinstance(value, Ref):
        return bands[value.index]
    if isinstance(value, list | tuple):
        return type(value)(bind(v, bands) for v in value)
    return value


def plain(call: Call, **changes: Any) -> Callable[[torch.device], Kernel]:
    """Build the kernel that calls the torch operator on the bands as they are."""
    arguments = {**call.arguments, **changes}

    def kernel(device: torch.device) -> Kernel:
        placed = {name: to_device(value, device) for name, value in arguments.items()}
        if 'device' in placed:
            placed['device'] = device
        fixed = {n: v for n, v in placed.items() if not _has_ref(v)}
        moving = {n: v for n, v in placed.items() if _has_ref(v)}
        target = call.target
        return lambda bands, a, b: target(
            **{n: bind(v, bands) for n, v in moving.items()}, **fixed
        )

    return kernel


def _has_ref(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_ref(v) for v in value)
    return isinstance(value, Ref)


def whole(call: Call, inputs: Sequence[Tensor]) -> Rule:
    """
    Answer for a call that is only done as a whole: every input complete, output without rows.
    """
    return Rule(WHOLE, [Need.all(1, t.rows) for t in inputs], plain(call))


def has_rows(tensor: Tensor) -> bool:
    """Whether the tensor comes in bands."""
    return tensor.layout.dim is not None


def pair(value: Any, name: str = '') -> tuple[int, int]:
    """Read an int, or a list of one or two ints, as (rows, columns)."""
    if isinstance(value, int):
        return value, value
    values = [int(v) for v in value]
    return (values[0], values[-1])
