"""
Convolutions and linear layers with weights laid out once, and activations fused.

On a CPU these are oneDNN's, as torch.compile uses them: torch's own layers lay the weights out
again at each call, which for a band costs as much as the band. What is not float32 on a CPU runs
through torch's layers.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor as T

Activation = tuple[str, list[float]] | None

IN_PLACE: dict[str, Callable[..., T]] = {
    'relu': torch.relu_,
    'hardtanh': F.hardtanh_,
    'hardswish': torch.ops.aten.hardswish_,
    'sigmoid': torch.sigmoid_,
    'swish': torch.ops.aten.silu_,
    'hardsigmoid': torch.ops.aten.hardsigmoid_,
    'leaky_relu': torch.ops.aten.leaky_relu_,
    'gelu': torch.ops.aten.gelu_,
    'tanh': torch.tanh_,
}
"""Activations by oneDNN's names, which compute them with the layer; alone they run in place."""


def activate(out: T, activation: Activation) -> T:
    """Run an activation in place."""
    return out if activation is None else IN_PLACE[activation[0]](out, *activation[1])


def _attributes(activation: Activation) -> tuple[str, list[Any], str]:
    name, scalars = activation or ('none', [])
    return name, scalars, 'none' if name == 'gelu' else ''


def linear(
    weight: T, bias: T | None, activation: Activation, device: torch.device
) -> Callable[[T], T]:
    """Build a linear layer over the last dimension: (..., in) to (..., out)."""
    return linears(weight, bias, activation, device)[0]


def linears(
    weight: T, bias: T | None, activation: Activation, device: torch.device
) -> tuple[Callable[[T], T], Callable[[T], T]]:
    """Build a linear layer with its activation, and the same without; they share the weights."""
    if device.type != 'cpu' or weight.dtype != torch.float32:
        weight, bias = weight.to(device), None if bias is None else bias.to(device)
        return (
            lambda x: activate(F.linear(x, weight, bias), activation),
            lambda x: F.linear(x, weight, bias),
        )
    wide = weight.shape[0]
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
    fused = torch.ops.mkldnn._linear_pointwise.default

    def build(attributes: tuple[str, list[Any], str]) -> Callable[[T], T]:
        def run(x: T) -> T:
            rows = x.reshape(-1, x.shape[-1])
            return fused(rows, packed, bias, *attributes).view(*x.shape[:-1], wide)

        return run

    return build(_attributes(activation)), build(_attributes(None))


def convolution(
    weight: T,
    bias: T | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    activation: Activation,
    device: torch.device,
    shape: list[int],
) -> Callable[[T, T | None, list[int]], T]:
    """
    Build a convolution: (band, residual or None, padding) to the activated sum.

    `padding` here and `shape`, that of the whole input (1, C, H, W), are only hints for the layout
    of the weights. Without the width, a CPU with AVX2 and no AVX-512 lays them out for another one
    and has to do it again at each call, element by element: 56 ms beside 1 ms of computing.
    """
    on_cpu = device.type == 'cpu' and weight.dtype == torch.float32
    if on_cpu and groups == 1 and not any(padding) and _patches(weight, stride, dilation):
        return _patchwise(weight, bias, stride, activation, device)
    if device.type != 'cpu' or weight.dtype != torch.float32:
        weight = weight.to(device, memory_format=torch.channels_last)
        bias = None if bias is None else bias.to(device)

        def run(band: T, other: T | None, padding: list[int]) -> T:
            out = F.conv2d(band, weight, bias, stride, padding, dilation, groups)
            return activate(out if other is None else out.add_(other), activation)

        return run
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(), padding, stride, dilation, groups, shape
    )
    fused, attributes = torch.ops.mkldnn._convolution_pointwise.default, _attributes(activation)
    plain = _attributes(None)

    def run_packed(band: T, other: T | None, padding: list[int]) -> T:
        if other is None:
            return fused(band, packed, bias, padding, stride, dilation, groups, *attributes)
        # oneDNN can add the residual too, but copies it first: slower than adding in place.
        out = fused(band, packed, bias, padding, stride, dilation, groups, *plain)
        return activate(out.add_(other), activation)

    return run_packed


def _patches(weight: T, stride: list[int], dilation: list[int]) -> bool:
    """Whether the windows are single places, or patches that do not overlap and leave no gaps."""
    size = list(weight.shape[2:])
    return size == [1, 1] or size == stride and dilation == [1, 1]


def _patchwise(
    weight: T, bias: T | None, stride: list[int], activation: Activation, device: torch.device
) -> Callable[[T, T | None, list[int]], T]:
    """
    Build a convolution of patches as a linear layer over channels_last memory.

    For these oneDNN's convolution wants another layout of the weights for another height of the
    band; its linear layer does not.
    """
    size_y, size_x = weight.shape[2:]
    step_y, step_x = stride
    matrix = weight.permute(0, 2, 3, 1).flatten(1)
    fused, plain = linears(matrix, bias, activation, device)

    def run(band: T, other: T | None, padding: list[int]) -> T:
        if size_y == size_x == 1:
            if step_y != 1 or step_x != 1:
                band = band[:, :, ::step_y, ::step_x]
            rows = band.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
        else:
            _, channels, height, width = band.shape
            high, wide = height // size_y, width // size_x
            band = band[:, :, : high * size_y, : wide * size_x].permute(0, 2, 3, 1)
            band = band.reshape(1, high, size_y, wide, size_x * channels).transpose(2, 3)
            rows = band.reshape(1, high, wide, -1)
        if other is None:
            return fused(rows).permute(0, 3, 1, 2)
        return activate(plain(rows).permute(0, 3, 1, 2).add_(other), activation)

    return run
