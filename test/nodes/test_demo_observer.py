"""The observer of the demo counts frames from when the edge is at work."""

import pytest

from intradp_ros.msg import FrameReport
from intradp_ros.nodes.demo_observer import DemoObserver


@pytest.mark.parametrize('first, begins', [
    ({'source': 'edge', 'acknowledged': 8}, True),
    ({'source': 'both', 'acknowledged': 8}, True),
    # By a plan that knows the device to be sooner: no frame may ever be answered.
    ({'source': 'device', 'acknowledged': 2, 'hedged': True, 'reason': 'device was first'}, True),
    ({'source': 'device', 'acknowledged': 2, 'fallback': True, 'reason': 'edge silent'}, False),
    ({'source': 'device', 'acknowledged': 2, 'fallback': True, 'reason': 'edge refused'}, False),
    ({'source': 'device', 'fallback': True, 'reason': 'no edge'}, False),
    ({'source': 'device'}, False)])
def test_it_begins_after_a_frame_of_which_the_edge_has_heard_well(graph, first, begins):
    observer = graph.add(DemoObserver, frames=5)
    for number, fields in enumerate((first, {'source': 'device'})):
        report = FrameReport(**fields)
        report.header.stamp.sec = number
        graph.call(observer._on_report, report)
    assert [stamp.sec for stamp in observer.records] == ([1] if begins else [])
