"""
Videos of scenes: objects in smooth motion over a panning photograph that training never saw.

A video is a function of its seed: any frame can be made at any time, on any machine, with its
ground truth, and nothing has to be stored or sent.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.random import default_rng

from intradp_ros.scenes import photographs
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.render import Item, Light, Scene, render
from intradp_ros.scenes.scene import sample_item, sample_light

# Frames a second that the speeds below are meant for.
FRAME_RATE = 15.0

# One stream of random numbers for the plan of a video and one for the noise of each frame.
_PLAN, _NOISE = 2, 3


@dataclass(frozen=True)
class Swing:
    """A number that swings smoothly: mean, amplitude, period in seconds, phase in radians."""

    mean: float
    amplitude: float
    period: float
    phase: float

    def at(self, seconds: float) -> float:
        """Give its value at a time."""
        return self.mean + self.amplitude * np.sin(2 * np.pi * seconds / self.period + self.phase)


@dataclass(frozen=True)
class Track:
    """The way of one item: how its x, y, height and roll swing."""

    item: Item
    swings: tuple[Swing, Swing, Swing, Swing]

    def at(self, seconds: float) -> Item:
        """Give the item where it is at a time."""
        x, y, height, roll = (swing.at(seconds) for swing in self.swings)
        return replace(self.item, x=x, y=y, height=height, roll=roll)


@dataclass(frozen=True)
class Plan:
    """All of a video: the view of a photograph, its items (far ones first), the light."""

    photograph: str
    centre: tuple[Swing, Swing]
    zoom: Swing
    roll: Swing
    gains: tuple[float, float, float]
    tracks: tuple[Track, ...]
    light: Light


@lru_cache(maxsize=16)
def plan(seed: int, size: tuple[int, int]) -> Plan:
    """Draw the plan of a video of (height, width) pixels."""
    rng = default_rng([_PLAN, seed])

    def swing(mean: float, amplitude: float, period: tuple[float, float]) -> Swing:
        return Swing(mean, amplitude, rng.uniform(*period), rng.uniform(0, 2 * np.pi))

    def track(label: int) -> Track:
        item = sample_item(rng, label, size)
        height, width = size
        return Track(item, (
            swing(rng.uniform(0.15, 0.85) * width, rng.uniform(0.05, 0.3) * width, (6, 20)),
            swing(rng.uniform(0.25, 0.8) * height, rng.uniform(0.02, 0.12) * height, (6, 20)),
            swing(item.height, rng.uniform(0.05, 0.2) * item.height, (8, 20)),
            swing(item.roll, rng.uniform(0, 8), (4, 12))))

    labels = rng.integers(len(CLASSES), size=rng.integers(5, 10)).tolist() + [-1, -1]
    tracks = sorted((track(label) for label in labels), key=lambda t: t.item.height)
    steady = replace(sample_light(rng), gain=rng.uniform(0.8, 1.1), blur=rng.uniform(0, 0.7),
                     motion=0, noise=rng.uniform(0, 6))
    return Plan(photographs.HELD_OUT[rng.integers(len(photographs.HELD_OUT))],
                (swing(0.5, 0.2, (20, 60)), swing(0.5, 0.15, (20, 60))),
                swing(1.5, 0.3, (30, 60)), swing(0, 5, (20, 60)),
                tuple(rng.uniform(0.85, 1.1, 3)), tuple(tracks), steady)


def play(seed: int, frame: int, size: tuple[int, int] = (480, 640)) -> Scene:
    """
    Make frame number `frame` (0, 1, ...) of video `seed`, with its ground truth.

    A pure function: the same arguments always give the same scene. Objects may hide one another or
    leave the image; `Scene.visibility` says how much of each is seen, and objects of which nothing
    is are left out.

    :param size: (height, width) in pixels.
    """
    drawn, seconds = plan(seed, size), frame / FRAME_RATE
    background = photographs.view(
        photographs.photograph(drawn.photograph),
        (drawn.centre[0].at(seconds), drawn.centre[1].at(seconds)), drawn.zoom.at(seconds),
        drawn.roll.at(seconds), size)
    return render(photographs.recolour(background, drawn.gains),
                  [track.at(seconds) for track in drawn.tracks], drawn.light,
                  default_rng([_NOISE, seed, frame]))
