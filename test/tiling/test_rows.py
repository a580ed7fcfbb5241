"""Interval arithmetic against sets of numbers."""

from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.tiling.rows import (
    boundaries,
    boundaries_around,
    count,
    covers,
    intersect,
    subtract,
    union,
)

intervals = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def numbers(rows):
    return {r for a, b in rows for r in range(a, b)}


@given(intervals, intervals)
def test_operations_are_those_of_sets(first, second):
    one, two = union(first), union(second)
    assert numbers(one) == numbers(first)
    assert all(b < c for (_, b), (c, _) in zip(one, one[1:]))
    assert numbers(subtract(one, two)) == numbers(one) - numbers(two)
    assert numbers(intersect(one, two)) == numbers(one) & numbers(two)
    assert count(one) == len(numbers(one))
    assert union(subtract(one, two)) == subtract(one, two)


@given(intervals, st.integers(0, 30), st.integers(0, 30))
def test_covers(some, a, b):
    assert covers(union(some), a, b) == (set(range(a, b)) <= numbers(some))


@given(st.integers(1, 500), st.integers(-3, 600))
def test_boundaries(rows, parts):
    ends = boundaries(rows, parts)
    heights = [b - a for a, b in zip(ends, ends[1:])]
    assert ends[0] == 0 and ends[-1] == rows and len(heights) == max(1, min(parts, rows))
    assert min(heights) >= 1 and max(heights) - min(heights) <= 1


@given(st.integers(2, 500), st.integers(1, 499), st.integers(-3, 600))
def test_boundaries_around(rows, place, parts):
    place = min(place, rows - 1)
    ends = boundaries_around(rows, place, parts)
    own = ends.index(place)
    heights = [b - a for a, b in zip(ends, ends[1:])]
    assert ends[0] == 0 and ends[-1] == rows and 2 <= len(heights) <= max(2, parts)
    for side in heights[:own], heights[own:]:
        assert min(side) >= 1 and max(side) - min(side) <= 1
    if 2 <= parts <= rows:
        assert abs(own - parts * place / rows) <= 1
