"""
What the scenes show: one drawing function for each class.

A drawing is a list of parts, painted in order, each a polygon (N, 2) and an RGB colour in [0, 1].
Coordinates are x to the right and y down; the object is about 1 high and centred at the origin.
Every choice (colour, pattern, proportions) comes from the generator that is passed in, so that one
seed always draws one and the same thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Part = tuple[np.ndarray, np.ndarray]
Drawing = list[Part]


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360,
            points: int = 40) -> np.ndarray:
    """Polygon of an ellipse or of a sector between two angles in degrees (0: right, 90: down)."""
    angles = np.radians(np.linspace(start, stop, points))
    arc = np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1)
    return arc if stop - start == 360 else np.vstack([arc, [[x, y]]])


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Polygon of an upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def regular(sides: int, radius: float, turn: float = 0) -> np.ndarray:
    """Regular polygon around the origin, its first corner at `turn` degrees."""
    angles = np.radians(turn + 360 * np.arange(sides) / sides)
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def limb(start: tuple[float, float], stop: tuple[float, float], width: float) -> np.ndarray:
    """Polygon of a thick line with round ends."""
    (x, y), (x2, y2), radius = start, stop, width / 2
    turn = float(np.degrees(np.arctan2(y2 - y, x2 - x)))
    first = ellipse(x, y, radius, radius, turn + 90, turn + 270, 8)[:-1]
    last = ellipse(x2, y2, radius, radius, turn - 90, turn + 90, 8)[:-1]
    return np.vstack([first, last])


def colour(rng: Generator, near: tuple[float, float, float] | None = None,
           spread: float = 0.12) -> np.ndarray:
    """Any colour, or one near a given one."""
    if near is None:
        return rng.uniform(0.08, 0.95, 3)
    return np.clip(np.array(near) + rng.uniform(-spread, spread, 3), 0, 1)


def _pick(rng: Generator, *choices):
    return choices[rng.integers(len(choices))]


def ball(rng: Generator) -> Drawing:
    """Plain, striped, of coloured wedges, or spotted."""
    base, other = colour(rng), colour(rng)
    parts = [(ellipse(0, 0, 0.5, 0.5), base)]
    pattern = rng.integers(4)
    if pattern == 1:
        parts += [(ellipse(0, 0, 0.5, 0.5, a, a + 60, 14), other) for a in (0, 120, 240)]
    elif pattern == 2:
        half = rng.uniform(0.06, 0.2)
        edge = np.degrees(np.arcsin(half / 0.5))
        band = np.vstack([ellipse(0, 0, 0.5, 0.5, -edge, edge, 9)[:-1],
                          ellipse(0, 0, 0.5, 0.5, 180 - edge, 180 + edge, 9)[:-1]])
        parts.append((band, other))
    elif pattern == 3:
        parts += [(0.32 * regular(5, 1)[i] + regular(5, 0.12, 36), other) for i in range(5)]
        parts.append((regular(5, 0.12), other))
    return parts


def box(rng: Generator) -> Drawing:
    """Three faces of a cuboid seen from above, with tape or a label."""
    yaw, pitch = np.radians(rng.uniform(15, 75)), np.radians(rng.uniform(12, 40))
    size = rng.uniform([0.6, 0.5, 0.6], [1.3, 1.1, 1.3])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)],
                     [0, np.sin(pitch), np.cos(pitch)]])

    def project(points: list) -> np.ndarray:
        return (np.array(points) * size / 2 @ turn.T @ tilt.T)[:, :2]

    base = colour(rng, _pick(rng, (0.75, 0.56, 0.36), (0.65, 0.48, 0.3), None), 0.1)
    shades = rng.permutation([0.85, 0.62])
    faces = [([[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]], 1.0),
             ([[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1]], shades[0]),
             ([[1, -1, -1], [1, -1, 1], [1, 1, 1], [1, 1, -1]], shades[1])]
    parts = [(project(corners), base * shade) for corners, shade in faces]
    if rng.random() < 0.5:
        tape = colour(rng, (0.85, 0.8, 0.65), 0.1)
        parts.append((project([[-1, -1, -0.15], [1, -1, -0.15], [1, -1, 0.15], [-1, -1, 0.15]]),
                      tape))
        parts.append((project([[1, -1, -0.15], [1, -1, 0.15], [1, -0.5, 0.15],
                               [1, -0.5, -0.15]]), tape * shades[1]))
    if rng.random() < 0.5:
        parts.append((project([[-0.6, -0.4, -1], [0.2, -0.4, -1], [0.2, 0.4, -1],
                               [-0.6, 0.4, -1]]), colour(rng, (0.9, 0.9, 0.88), 0.08)))
    height = max(np.ptp(np.vstack([p for p, _ in parts]), axis=0))
    return [(points / height, tint) for points, tint in parts]


def cone(rng: Generator) -> Drawing:
    """Traffic cone: plate, truncated cone, one or two bright bands."""
    base = colour(rng, _pick(rng, (0.95, 0.4, 0.08), (0.95, 0.4, 0.08), (0.9, 0.8, 0.1)), 0.08)
    foot, tip, plate = rng.uniform(0.22, 0.3), rng.uniform(0.025, 0.06), rng.uniform(0.36, 0.44)

    def band(top: float, bottom: float) -> np.ndarray:
        half = [tip + (foot - tip) * (y + 0.5) / 0.94 for y in (top, bottom)]
        curve = ellipse(0, bottom, half[1], 0.16 * half[1], 0, 180, 12)[:-1]
        return np.vstack([[[-half[0], top], [half[0], top]], curve])

    parts = [(np.array([[-plate, 0.5], [plate, 0.5], [plate * 0.8, 0.36], [-plate * 0.8, 0.36]]),
              base * rng.uniform(0.35, 0.9)), (band(-0.5, 0.42), base)]
    stripe = colour(rng, (0.92, 0.92, 0.9), 0.07)
    for top in _pick(rng, (-0.2,), (-0.3, 0.02), (-0.25, 0.1)):
        parts.append((band(top, top + rng.uniform(0.1, 0.18)), stripe))
    return parts


def traffic_sign(rng: Generator) -> Drawing:
    """Stop, warning, prohibition or direction sign."""
    red, white = colour(rng, (0.78, 0.08, 0.1), 0.07), colour(rng, (0.93, 0.93, 0.92), 0.06)
    ink, blue = colour(rng, (0.08, 0.08, 0.08), 0.06), colour(rng, (0.08, 0.25, 0.7), 0.08)
    yellow = colour(rng, (0.95, 0.78, 0.1), 0.06)
    kind = rng.integers(5)
    if kind == 0:
        letters = [(rectangle(x, -0.11, x + 0.13, 0.11), white)
                   for x in (-0.35, -0.16, 0.03, 0.22)]
        return [(regular(8, 0.54, 22.5), white), (regular(8, 0.49, 22.5), red), *letters]
    if kind == 1:
        fill = _pick(rng, white, yellow)
        mark = [(rectangle(-0.035, -0.16, 0.035, 0.1), ink), (ellipse(0, 0.16, 0.04, 0.04), ink)]
        up = regular(3, 0.62, -90) + [0, 0.12]
        return [(up, red), (regular(3, 0.42, -90) + [0, 0.12], fill), *mark]
    if kind == 2:
        plain = [(ellipse(0, 0, 0.36, 0.36), white)]
        inside = _pick(rng, [(rectangle(-0.3, -0.08, 0.3, 0.08), white)],
                       [*plain, (rectangle(-0.2, -0.14, -0.05, 0.14), ink),
                        (rectangle(0.04, -0.14, 0.2, 0.14), ink)], plain)
        return [(ellipse(0, 0, 0.5, 0.5), red), *inside]
    if kind == 3:
        arrow = np.array([[-0.07, 0.32], [0.07, 0.32], [0.07, -0.05], [0.2, -0.05], [0, -0.34],
                          [-0.2, -0.05], [-0.07, -0.05]])
        ahead, left, right = np.array([[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[0, -1], [1, 0]]])
        arrow = arrow @ _pick(rng, ahead, left, right)
        return [(ellipse(0, 0, 0.5, 0.5), white), (ellipse(0, 0, 0.47, 0.47), blue),
                (arrow, white)]
    return [(regular(4, 0.54), ink), (regular(4, 0.5), yellow),
            (rectangle(-0.05, -0.25, 0.05, 0.08), ink), (ellipse(0, 0.2, 0.06, 0.06), ink)]


def traffic_light(rng: Generator) -> Drawing:
    """Dark housing with three lamps, one of them lit."""
    half = rng.uniform(0.17, 0.23)
    housing = colour(rng, _pick(rng, (0.1, 0.1, 0.1), (0.1, 0.16, 0.12), (0.8, 0.65, 0.1)), 0.06)
    parts = [(rectangle(-half, -0.5, half, 0.5), housing),
             (rectangle(-half * 0.86, -0.46, half * 0.86, 0.46), housing * 0.6)]
    lamps = [(0.95, 0.1, 0.08), (0.98, 0.75, 0.1), (0.1, 0.9, 0.35)]
    lit = rng.integers(3)
    for i, lamp in enumerate(lamps):
        tint = colour(rng, lamp, 0.05) * (1 if i == lit else rng.uniform(0.15, 0.3))
        parts.append((ellipse(0, (i - 1) * 0.3, 0.125, 0.125), tint))
    return parts


def marker(rng: Generator) -> Drawing:
    """Fiducial marker: random bits in a black frame on a white sheet."""
    white, black = colour(rng, (0.93, 0.93, 0.92), 0.06), colour(rng, (0.06, 0.06, 0.06), 0.05)
    cells = int(rng.integers(4, 7))
    unit = 0.8 / (cells + 2)
    parts = [(rectangle(-0.5, -0.5, 0.5, 0.5), white), (rectangle(-0.4, -0.4, 0.4, 0.4), black)]
    bits = rng.random((cells, cells)) < 0.5
    for row, column in zip(*np.nonzero(bits)):
        x, y = -0.4 + (column + 1) * unit, -0.4 + (row + 1) * unit
        parts.append((rectangle(x, y, x + unit, y + unit), white))
    return parts


def person(rng: Generator) -> Drawing:
    """Somebody standing, walking or waving."""
    skin = colour(rng, _pick(rng, (0.9, 0.72, 0.6), (0.7, 0.5, 0.36), (0.4, 0.27, 0.2)), 0.06)
    shirt, trousers, shoes = colour(rng), colour(rng) * 0.7, colour(rng) * 0.4
    hair = colour(rng, _pick(rng, (0.12, 0.09, 0.07), (0.4, 0.27, 0.13), (0.75, 0.6, 0.35)), 0.06)
    stride, lean = rng.uniform(0, 0.13), rng.uniform(-0.02, 0.02)
    parts = []
    for side, step in ((-1, -stride), (1, stride)):
        hip, foot = (side * 0.055, 0.04), (side * 0.06 + step, 0.46)
        parts += [(limb(hip, foot, 0.1), trousers),
                  (limb((foot[0], 0.475), (foot[0] + 0.05, 0.475), 0.05), shoes)]
    reach = rng.uniform([-0.1, -0.1], [0.25, 0.25])
    raised = rng.random() < 0.25
    shoulder, elbow = (-0.12 + lean, -0.26), (-0.17 - max(reach[0], 0) / 2, -0.12)
    hand = (-0.17 - max(reach[0], 0), -0.34 if raised else 0.02)
    far = (0.17 + max(reach[1], 0) / 2, -0.12), (0.16 + max(reach[1], 0), 0.02)
    body = np.array([[-0.15, -0.29], [0.15, -0.29], [0.115, 0.07], [-0.115, 0.07]])
    sleeve = shirt * rng.uniform(0.75, 0.95)
    parts += [(limb((0.12 + lean, -0.26), far[0], 0.065), sleeve), (limb(*far, 0.055), skin),
              (body + [lean, 0], shirt), (limb(shoulder, elbow, 0.065), sleeve),
              (limb(elbow, hand, 0.055), skin),
              (rectangle(-0.03 + lean, -0.34, 0.03 + lean, -0.27), skin * 0.85),
              (ellipse(lean, -0.41, 0.07, 0.09), skin),
              (ellipse(lean, -0.44, 0.074, 0.066, 180, 360, 14), hair)]
    return parts


def bottle(rng: Generator) -> Drawing:
    """Body, shoulder, neck, cap, and mostly a label."""
    known = _pick(rng, (0.12, 0.4, 0.18), (0.4, 0.22, 0.08), (0.6, 0.75, 0.85), None)
    glass = colour(rng, known, 0.1)
    half, neck = rng.uniform(0.13, 0.19), rng.uniform(0.04, 0.065)
    shoulder, throat = rng.uniform(-0.2, -0.08), rng.uniform(-0.34, -0.26)
    right = [[neck, -0.44], [neck, throat], [half * 0.8, shoulder - 0.05], [half, shoulder + 0.04],
             [half, 0.47], [half * 0.9, 0.5]]
    outline = np.array(right + [[-x, y] for x, y in reversed(right)])
    parts = [(outline, glass), (rectangle(-neck * 1.25, -0.5, neck * 1.25, -0.42), colour(rng))]
    if rng.random() < 0.75:
        top = rng.uniform(0, 0.1)
        parts.append((rectangle(-half, top, half, top + rng.uniform(0.15, 0.3)), colour(rng)))
    return parts


def barrel(rng: Generator) -> Drawing:
    """Drum with a lid and two or three hoops."""
    base, half = colour(rng), rng.uniform(0.3, 0.38)
    lid = half * rng.uniform(0.22, 0.36)
    top, bottom = -0.5 + lid, 0.5 - lid
    body = np.vstack([[[-half, top], [half, top]], ellipse(0, bottom, half, lid, 0, 180, 20)[:-1]])
    parts = [(body, base)]
    hoop = base * _pick(rng, 0.6, 1.3)
    for level in np.linspace(0.15, 0.85, int(rng.integers(2, 4))):
        y, thick = top + level * (bottom - top), rng.uniform(0.03, 0.06)
        lower, upper = (ellipse(0, y + dy, half, lid, 0, 180, 20)[:-1] for dy in (thick, 0))
        parts.append((np.vstack([lower, upper[::-1]]), np.clip(hoop, 0, 1)))
    parts += [(ellipse(0, top, half, lid), base * 0.85),
              (ellipse(0, top, half * 0.88, lid * 0.84), base * 0.65)]
    return parts


def clutter(rng: Generator) -> Drawing:
    """Something of no class: an irregular flat shape, a pole or a plank."""
    if rng.random() < 0.4:
        half = rng.uniform(0.02, 0.1)
        return [(rectangle(-half, -0.5, half, 0.5), colour(rng))]
    corners = int(rng.integers(3, 8))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.2, 0.5, corners)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
    return [(points, colour(rng)), (points * rng.uniform(0.3, 0.9), colour(rng))]


@dataclass(frozen=True)
class Kind:
    """How objects of one class are drawn and stand: greatest roll, yaw and pitch in degrees."""

    draw: Callable[[Generator], Drawing]
    roll: float
    tilt: float
    shading: str = 'flat'


KINDS: dict[str, Kind] = {
    'ball': Kind(ball, 180, 0, 'sphere'),
    'box': Kind(box, 6, 0),
    'cone': Kind(cone, 12, 0, 'cylinder'),
    'traffic_sign': Kind(traffic_sign, 12, 40),
    'traffic_light': Kind(traffic_light, 8, 30),
    'marker': Kind(marker, 180, 45),
    'person': Kind(person, 6, 0),
    'bottle': Kind(bottle, 10, 0, 'cylinder'),
    'barrel': Kind(barrel, 8, 0, 'cylinder'),
}

CLASSES = tuple(KINDS)
