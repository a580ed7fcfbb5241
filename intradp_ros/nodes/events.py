"""What DDS itself notices about a topic, logged with the cure; one function a side."""

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node

RELIABILITY = ('a best-effort publisher and a reliable subscriber never meet: compare '
               "`ros2 topic info -v {topic}` on both sides; tiles follow the device's parameter "
               'reliable_tiles')
LOST = ('the middleware dropped {count} so far: raise net.core.rmem_max, send smaller messages '
        '(message_bytes) or fewer at a time (window_bytes); `intradp doctor` checks the buffers')
LATE = 'nothing came within the deadline of its QoS: the peer is slow, or the link is'
GONE = 'the peer is gone, or out of reach, or its process hangs'
Say = Callable[[str, str, str], None]
"""(level, what, cure) -> None"""


def of_publisher(node: Node, topic: str) -> PublisherEventCallbacks:
    """Log what happens to a publisher of the node."""
    say = _logged(node, topic)
    return PublisherEventCallbacks(
        **_on_either_side(say, 'subscriber'),
        liveliness=lambda e: say('warning', 'liveliness lost', GONE))


def of_subscription(node: Node, topic: str) -> SubscriptionEventCallbacks:
    """Log what happens to a subscription of the node."""
    say = _logged(node, topic)
    return SubscriptionEventCallbacks(
        **_on_either_side(say, 'publisher'),
        liveliness=lambda e: e.not_alive_count and say('warning', 'publisher not alive', GONE),
        message_lost=lambda e: say('warning', f'{e.total_count_change} messages lost',
                                   LOST.format(count=e.total_count)))


def _on_either_side(say: Say, peer: str) -> dict[str, Callable[[Any], None]]:
    return {
        'incompatible_qos': lambda e: say(
            'warning', f'QoS {e.last_policy_kind} of a {peer} does not fit', RELIABILITY),
        'deadline': lambda e: say('warning', 'deadline missed', LATE),
        'matched': lambda e: say('info', f'{e.current_count} {peer}s', '')}


def _logged(node: Node, topic: str) -> Say:
    name = node.resolve_topic_name(topic)

    def say(level: str, what: str, cure: str) -> None:
        text = f'{name}: {what}' + (f'; {cure.format(topic=name)}' if cure else '')
        if level == 'info':
            node.get_logger().info(text)
        else:
            getattr(node, 'warn', node.get_logger().warning)(text)
    return say
