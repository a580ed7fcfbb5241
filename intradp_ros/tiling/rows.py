"""
Interval arithmetic on rows.

An interval is a pair (a, b): the rows a, a + 1, ..., b - 1; it is empty when a >= b. A set of
rows is a tuple of intervals that are not empty, do not touch, and ascend: `()` is the empty set,
and two equal sets are equal tuples.
"""

from collections.abc import Iterable
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int]
Rows: TypeAlias = tuple[Interval, ...]


def union(intervals: Iterable[Interval]) -> Rows:
    """Join any intervals, in any order, overlapping or empty, to a set of rows."""
    joined: list[Interval] = []
    for a, b in sorted(intervals):
        if a >= b:
            continue
        if joined and a <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(b, joined[-1][1])
        else:
            joined.append((a, b))
    return tuple(joined)


def subtract(rows: Rows, other: Rows) -> Rows:
    """Rows of the first set that are not in the second."""
    if not rows or not other:
        return rows
    left: list[Interval] = []
    for a, b in rows:
        for p, q in other:
            if q <= a:
                continue
            if p >= b:
                break
            if a < p:
                left.append((a, p))
            a = q
        if a < b:
            left.append((a, b))
    return tuple(left)


def intersect(rows: Rows, other: Rows) -> Rows:
    """Rows that are in both sets."""
    return tuple(
        (max(a, p), min(b, q)) for a, b in rows for p, q in other if max(a, p) < min(b, q)
    )


def count(rows: Rows) -> int:
    """How many rows a set has."""
    return sum(b - a for a, b in rows)


def covers(rows: Rows, a: int, b: int) -> bool:
    """Whether a set holds all of [a, b)."""
    return a >= b or any(p <= a and b <= q for p, q in rows)


def boundaries(rows: int, parts: int) -> list[int]:
    """
    Ends of `parts` bands of [0, rows) (or as many as there are rows), with 0.

    Their heights differ by at most one.
    """
    parts = max(1, min(parts, rows))
    return [rows * i // parts for i in range(parts + 1)]


def boundaries_around(rows: int, place: int, parts: int) -> list[int]:
    """
    Ends of about `parts` bands of [0, rows), with 0, one of which ends at `place`.

    Either side of it has one band at least, and else as many as its rows are of all.

    :param place: above 0 and below `rows`.
    """
    above = min(max(round(parts * place / rows), 1), max(parts - 1, 1))
    below = boundaries(rows - place, parts - above)
    return [*boundaries(place, above), *(place + b for b in below[1:])]


def as_rows(rows: Interval | Rows) -> Rows:
    """Read one interval, or several, as a set of rows."""
    if len(rows) == 2 and isinstance(rows[0], int):
        return union([rows])
    return union(rows)
