"""The figures of a link, and what plans assume with them."""

import pytest

from intradp_ros.planning.link import LinkEstimate


def test_an_estimate_is_what_plans_assume():
    link = LinkEstimate(2e6, 0.01, 1e-4).assumed(30000)
    assert (link.bandwidth, link.round_trip, link.message_seconds) == (2e6, 0.01, 1e-4)
    assert link.message_bytes == 30000


@pytest.mark.parametrize('other, expected', [(1.0, False), (1.2, False), (1.3, True), (0.7, True)])
def test_estimates_differ_by_a_factor(other, expected):
    assert LinkEstimate(1e6).differs(LinkEstimate(other * 1e6), 1.25) is expected


@pytest.mark.parametrize(('goodput', 'loss', 'most', 'limit'), [
    (0.0, 0.0, 120000, 60000), (1e6, 0.0, 120000, 60000), (5e6, 0.0, 120000, 100000),
    (1e8, 0.0, 120000, 120000), (1e8, 0.01, 120000, 60000), (1e8, 0.0, 8000, 8000),
    (1e8, 0.01, 8000, 8000)])
def test_messages_are_large_only_where_the_link_is_fast_and_loses_nothing(goodput, loss, most,
                                                                          limit):
    estimate = LinkEstimate(goodput, loss=loss)
    assert estimate.message_limit(most) == limit
    if goodput:
        assert estimate.assumed(most).message_bytes == limit
