"""The edge node's callbacks, whatever comes."""

import array
import time

import pytest
import rclpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from robots import MODEL
from std_msgs.msg import Header

from intradp_ros.msg import Tile
from intradp_ros.nodes.edge_node import EdgeNode


@pytest.fixture(scope='module')
def edge_alone():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=99)
    node = EdgeNode(overrides=MODEL, context=context)
    assert node.start()
    yield node, node.session.detector.identity
    node.close()
    node.destroy_node()
    context.try_shutdown()


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_tiles_never_raise_out_of_the_callback(edge_alone, data):
    """Fields as random as the message type lets them be."""
    node, identity = edge_alone
    def bits(n):
        return data.draw(st.one_of(st.integers(0, 3), st.integers(0, 2**n - 1)))
    message = Tile(
        header=Header(frame_id=data.draw(st.text(max_size=4))),
        model=data.draw(st.sampled_from([identity, '', 'x#y'])), session=bits(64), frame=bits(32),
        plan=bits(32), index=bits(16), tensor=bits(16), row_begin=bits(16), row_end=bits(16),
        codec=bits(8), image_height=bits(16), image_width=bits(16),
        cut_row=bits(16), halo=bits(16),
        data=array.array('B', data.draw(st.binary(max_size=3000))))
    node._on_tile('/robot', message, {'received_timestamp': data.draw(st.sampled_from(
        [0, time.time_ns(), 2**62]))})
