"""
What a frame holds and what is to be done next, as plain values: no tensor, only names of rows.
"""

from dataclasses import dataclass, field

from intradp_ros.tiling.rows import Interval, Rows


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows [a, b) of a tensor in one piece; `slot` is where the frame keeps it."""

    a: int
    b: int
    slot: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows [a, b) counted from the start of the chunk in `slot`; `full` when that is all of it."""

    slot: int
    a: int
    b: int
    full: bool


@dataclass(frozen=True, slots=True)
class Run:
    """
    Compute rows [a, b) of an operator's output into `slot`.

    `inputs` has the pieces of each input, and `borders` the rows of fill above and below the
    first. Afterwards the slots in `free` are dropped, and of those in `trim` only some rows are
    kept.
    """

    operator: int
    a: int
    b: int
    inputs: tuple[tuple[Piece, ...], ...]
    borders: Interval
    slot: int
    free: tuple[int, ...] = ()
    trim: tuple['Trim', ...] = ()


@dataclass(frozen=True, slots=True)
class Trim:
    """
    Of the chunk in `slot`, of tensor `tensor`, only its rows [a, b) (from its start) are kept.
    """

    slot: int
    tensor: int
    a: int
    b: int


Tensors = dict[int, tuple[Chunk, ...]]
RowsOf = dict[int, Rows]


@dataclass(slots=True)
class State:
    """
    What a frame holds and wants; never changed once it is made, but for the memory of where calls
    led.

    `held`: chunks of each tensor, ascending. `eager`: rows to be computed as soon as they can be.
    `kept`: rows that may be asked for later, so that what they need is not freed. `expected`:
    rows that will be fed, so that they are not computed. `pinned`: rows computed and not yet
    taken.
    """

    held: Tensors
    eager: RowsOf
    kept: RowsOf
    expected: RowsOf
    pinned: RowsOf
    slots: int = 0
    after: dict[tuple, tuple] = field(default_factory=dict, repr=False)
