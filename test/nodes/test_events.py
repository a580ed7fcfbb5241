"""Events of DDS are logged with what to do about them."""

from rclpy.qos import QoSProfile, ReliabilityPolicy

from intradp_ros.msg import Tile
from intradp_ros.nodes import events
from intradp_ros.nodes.managed_node import ManagedNode


class Listener:
    """Stands in front of a node's logger and remembers."""

    def __init__(self, node):
        self.node, self.said = node, []

    def __getattr__(self, name):
        return getattr(self.node, name)

    def warn(self, text):
        self.said.append(text)


def test_a_mismatch_of_qos_is_named_on_both_sides(graph):
    probe = graph.probe()
    sender, receiver = Listener(probe), Listener(probe)
    probe.create_publisher(Tile, 'tiles', QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
        event_callbacks=events.of_publisher(sender, 'tiles'))
    probe.create_subscription(Tile, 'tiles', lambda _: None, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE),
        event_callbacks=events.of_subscription(receiver, 'tiles'))
    graph.wait(lambda: sender.said and receiver.said)
    for text in sender.said[0], receiver.said[0]:
        assert '/robot/tiles' in text and 'ros2 topic info -v /robot/tiles' in text
        assert 'RELIABILITY' in text.upper() and 'reliable_tiles' in text


def test_managed_nodes_have_what_events_call():
    assert callable(ManagedNode.warn)
