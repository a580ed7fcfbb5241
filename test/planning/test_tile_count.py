"""The rule for tile counts keeps both of its promises, or the one that is paid for sure."""

from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.planning.link import LinkEstimate
from intradp_ros.planning.tile_count import HYSTERESIS, choose


def link(transfer, cost_share, frame_bytes=200000):
    """A link on which a frame takes `transfer` seconds and a message `cost_share` of that."""
    return LinkEstimate(goodput=frame_bytes / transfer, message_cost=transfer * cost_share,
                        frame_bytes=frame_bytes)


links = st.builds(link, st.floats(1e-3, 10), st.floats(1e-3, 1), st.integers(1000, 10**7))


@given(links, st.integers(1, 64))
def test_messages_cost_less_than_a_twentieth(link, current):
    count = choose(link, current).tile_count
    share = count * link.message_cost * link.goodput / link.frame_bytes
    # One tile is the least there is; what is nearly chosen already is not changed.
    assert count == 1 or share <= 0.05 * HYSTERESIS * 1.001


@given(st.floats(1e-3, 10), st.floats(1e-3, 0.0049))
def test_the_first_tile_comes_within_a_tenth_where_that_is_affordable(transfer, share):
    assert choose(link(transfer, share), 64).tile_count == 10


@given(links, st.integers(1, 64))
def test_choosing_again_changes_nothing(link, current):
    once = choose(link, current).tile_count
    assert choose(link, once).tile_count == once


def test_a_link_that_trembles_does_not_move_it():
    counts = {choose(link(0.2 * f, 0.005), 10).tile_count for f in (0.9, 1.0, 1.1)}
    assert counts == {10}


def test_nothing_known_nothing_changed():
    choice = choose(LinkEstimate(), 7)
    assert choice.tile_count == 7 and 'no acknowledged' in choice.reason
