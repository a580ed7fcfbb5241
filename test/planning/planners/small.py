"""A small network with a skip connection and strides, and setups whose times are easy numbers."""

from dataclasses import replace
from functools import cache

import torch
from torch import nn

from intradp_ros.model.capture import capture
from intradp_ros.planning.plan import Encoding, Setup
from intradp_ros.planning.profile import Staircase, estimated


class Skipping(nn.Module):
    """Convolutions at three strides, a sum of two branches, and optionally a global head."""

    def __init__(self, head: bool):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 8, 5, 1, 2))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.last = nn.Conv2d(8, 4, 3, 1, 1)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)) \
            if head else nn.Identity()

    def forward(self, x):
        x = self.stem(x)
        x = self.pool(x + self.block(x))
        return self.head(self.last(x))


@cache
def skipping(head: bool = False):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return capture(Skipping(head).eval(), torch.rand(1, 3, 64, 8))


@cache
def pointwise(count: int = 2):
    """Convolutions of one pixel, 3 channels, 8 rows of 4 columns."""
    layers = [nn.Conv2d(3, 3, 1) for _ in range(count)]
    return capture(nn.Sequential(*layers).eval(), torch.rand(1, 3, 8, 4))


def even(graph, device: float, edge: float, **encoding) -> Setup:
    """Every operator takes so many seconds, in proportion to rows; the input is 1 byte a value."""
    def profile(seconds):
        steps = tuple(Staircase((graph.tensors[o.output].rows,), (seconds,))
                      for o in graph.operators)
        return replace(estimated(graph, 1e9), seconds=steps, result_bytes=16)
    return Setup(profile(device), profile(edge), Encoding(**encoding))


def proportional(graph, device: float = 1e8, edge: float = 1e9) -> Setup:
    """Times by multiply-adds, nothing for a call."""
    return Setup(*(estimated(graph, macs, 0.0, 1e12, result_bytes=16) for macs in (device, edge)))
