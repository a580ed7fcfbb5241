"""The cells of the comparison: which there are, in what order, how long they take. Pure."""

import itertools
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import record
from intradp_ros.errors import ParameterError
from methods import METHODS

RHOS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
# Below this a median says too little.
LEAST_FRAMES = 10
Pair = tuple[str, float]
"""(model, rho)"""
# Seconds that it takes until the nodes of a group know each other (on a quarter of a core).
START = 45.0


@dataclass(frozen=True)
class Cell:
    """One method at one rho = C/D on one model."""

    model: str
    rho: float
    method: str

    @property
    def name(self) -> str:
        """Name of its file."""
        return f'{self.model}-{self.method}-rho{self.rho:g}'

    @property
    def pair(self) -> Pair:
        """Cells of one pair are compared: they get the same link and as many frames."""
        return self.model, self.rho


def cells(models: Sequence[str], rhos: Sequence[float], methods: Sequence[str]) -> list[Cell]:
    """
    Give every combination.

    :raises ParameterError: for a method that there is not, or a rho that cannot be.
    """
    unknown = set(methods) - set(METHODS)
    if unknown:
        raise ParameterError(f'unknown methods {", ".join(sorted(unknown))}; there are: '
                             f'{", ".join(METHODS)}')
    if min(rhos, default=1) <= 0:
        raise ParameterError(f'rho has to be above 0, got {min(rhos)}')
    return [Cell(*combination) for combination in itertools.product(models, rhos, methods)]


def pairs(wanted: Iterable[Cell]) -> dict[Pair, list[Cell]]:
    """Give the cells of each model and rho."""
    found: dict[Pair, list[Cell]] = {}
    for cell in wanted:
        found.setdefault(cell.pair, []).append(cell)
    return found


def groups(wanted: Iterable[Cell], seed: int) -> list[list[Cell]]:
    """
    Shuffle cells, and bring together those that the same processes can run.

    Starting the nodes takes longer than most cells, and modes can be changed while they run.
    Models keep their order; within a model the order of groups, of a group's bandwidths and of the
    methods at one of them is random, so that no method always comes after the same other. Methods
    at one bandwidth follow each other: those are compared, and a shared machine's speed wanders.
    """
    shuffled = random.Random(seed)
    by_group: dict[tuple[str, str, bool], list[Cell]] = {}
    for cell in wanted:
        method = METHODS[cell.method]
        by_group.setdefault((cell.model, method.topology, method.servers), []).append(cell)
    models = list(dict.fromkeys(model for model, _, _ in by_group))
    ordered = sorted(by_group, key=lambda key: (models.index(key[0]), shuffled.random()))
    for members in by_group.values():
        shuffled.shuffle(members)
        rhos = list(dict.fromkeys(cell.rho for cell in members))
        members.sort(key=lambda cell: rhos.index(cell.rho))
    return [by_group[key] for key in ordered]


def frame_seconds(cell: Cell, device: float) -> float:
    """
    Guess how long a frame takes, from the device's own time for it (seconds).

    Methods that choose are at least as fast as the device; JPEG is about a tenth of the bytes.
    """
    sent = {'local': 0.0, 'offload': 1.0, 'split': 1.0, 'jpeg_offload': 0.1,
            'compressed_topic': 0.15}
    return device * max(sent.get(cell.method, 1.0 if cell.rho < 1 else 0.0) * cell.rho,
                        0.5 if cell.method in ('jpeg_offload', 'compressed_topic') else 1.0)


@dataclass(frozen=True)
class Cost:
    """Seconds of some cells: before their frames count, and for one frame of each of them."""

    before: float
    a_frame_each: float

    def of(self, frames: int) -> float:
        """With so many frames a cell."""
        return self.before + frames * self.a_frame_each


def frames_that_fit(wanted: int, seconds: float, costs: Mapping[Pair, Cost]) -> dict[Pair, int]:
    """
    Give the frames a cell of each model and rho, so that all end in so many seconds.

    Time is shared evenly, with at least `LEAST_FRAMES` and at most `wanted`: a model that takes
    seconds a frame gets fewer frames than one that takes a tenth. Where that is too much, what is
    missing in the answer is left for another run: what costs most and is farthest from rho = 1,
    which itself stays (and the last one, whatever it is).
    """
    least = min(wanted, LEAST_FRAMES)
    kept = dict(costs)

    def dispensable(pair: Pair) -> float:
        return abs(math.log2(pair[1])) * kept[pair].of(least)

    left = seconds - sum(cost.of(least) for cost in kept.values())
    while left < 0 and len(kept) > 1 and (pair := max(kept, key=dispensable))[1] != 1:
        left += kept.pop(pair).of(least)
    frames = dict.fromkeys(kept, least)
    while more := [pair for pair, cost in kept.items()
                   if frames[pair] < wanted and cost.a_frame_each <= left]:
        pair = min(more, key=lambda pair: frames[pair] * kept[pair].a_frame_each)
        frames[pair] += 1
        left -= kept[pair].a_frame_each
    return frames


# -- files of results ----------------------------------------------------------------------------

def save(folder: Path, name: str, result: dict) -> None:
    """Write one result as a file that is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder / name, result)


def load(folder: Path, name: str) -> dict | None:
    """Read a result; None when there is none."""
    path = folder / f'{name}.json'
    return json.loads(path.read_text()) if path.exists() else None


def pending(wanted: Iterable[Cell], folder: Path) -> list[Cell]:
    """
    Give the cells that have no result yet.

    A method that the nodes refused is asked for again: they may have learnt it.
    """
    return [cell for cell in wanted
            if (found := load(folder, cell.name)) is None or 'refused' in found]


def result_of(cell: Cell, **facts: object) -> dict:
    """Put together what a cell's file holds."""
    return asdict(cell) | facts
