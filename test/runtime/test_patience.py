"""How long a frame waits for the edge."""

import pytest

from intradp_ros.runtime.patience import patience


def test_an_acknowledgement_is_due_sooner_than_an_answer():
    # 46 kB at 5 MB/s and 10 ms there and back; then 60 ms on the edge.
    assert patience(0.01, 46_000, 5e6, 0.06) == pytest.approx(0.2)
    assert patience(0.01, 0, 5e6, 0.06) == pytest.approx(0.28)


def test_a_slow_link_has_the_time_that_it_needs():
    assert patience(0.01, 900_000, 1e6, 0.06) == pytest.approx(4 * 0.91)
    assert patience(0.2, 1_000, 5e6, 0.06) == pytest.approx(4 * 0.2002)


def test_what_is_not_known_is_not_held_against_the_edge():
    assert patience(0.0, 46_000, 0.0, 0.06) == pytest.approx(0.25)
    assert patience(0.0, 0, 0.0, 0.2) == pytest.approx(0.8)
