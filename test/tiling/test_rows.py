"""Interval arithmetic against sets of numbers."""

from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.tiling.rows import count, covers, intersect, subtract, union

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
