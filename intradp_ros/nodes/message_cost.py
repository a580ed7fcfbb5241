"""
What a tile message costs: to hand it to the middleware, and of the processor in all.

`python -m intradp_ros.nodes.message_cost` is the reader: it ends when its standard input does.
"""

import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from intradp_ros.msg import Tile as TileMessage
from intradp_ros.msg import TileAck
from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.receiver import Apart, Receiver
from intradp_ros.planning.profile import Profile
from intradp_ros.runtime import processor
from intradp_ros.runtime.wire import Ack, AckState, Stamp, Tile

TOPIC, ACKS = '/intradp_profile/tiles', '/intradp_profile/acks'
# Seconds from one message to the next, in which the reader drains them.
PAUSE = 0.01


def with_messages(profile: Profile) -> Profile:
    """Add to a profile what messages cost here (takes a second or two)."""
    publishing, handling = message_seconds()
    return replace(profile, message_seconds=publishing, message_compute=(
        handling / processor.cores() if processor.is_shared() else 0.0))


def message_seconds(size: int = 60_000, count: int = 50, timeout: float = 60.0
                    ) -> tuple[float, float]:
    """
    Measure one Tile message to a reader that acknowledges it.

    The reader is a process of its own: within one, Fast DDS hands bytes over without a transport.

    :param size: bytes of data in the message, at most what Tile.msg allows.
    :returns: seconds of conversion and publish(), the median; processor seconds of this process,
        acknowledgement included, the mean. (0, 0) when no reader was found within `timeout`
        seconds.
    """
    context = Context()
    rclpy.init(context=context, args=[])
    reader = subprocess.Popen([sys.executable, '-m', __name__], stdin=subprocess.PIPE)
    try:
        node = rclpy.create_node('message_cost', context=context)
        publisher = node.create_publisher(TileMessage, TOPIC, qos.tiles(True))
        acks = node.create_subscription(
            TileAck, ACKS, conversions.ack_from_message, qos.ACKS, callback_group=Apart())
        until = time.monotonic() + timeout
        while not publisher.get_subscription_count():
            if time.monotonic() > until or reader.poll() is not None:
                return 0.0, 0.0
            time.sleep(0.02)
        tile = Tile(Stamp(0, 0, 'camera'), 'message_cost', 0, 0, 0, 0, 0, 0, 1, 0, 1, 1,
                    bytes(size))
        times, cold = [], count // 5
        # As the device node does it.
        with closing(Receiver(node, [acks], lambda error: None)):
            for number in range(count):
                if number == cold:
                    # The first ones meet cold code and buffers that have yet to grow.
                    used = time.process_time()
                begin = time.perf_counter()
                publisher.publish(conversions.message_from_tile(tile))
                times.append(time.perf_counter() - begin)
                time.sleep(max(0.0, begin + PAUSE - time.perf_counter()))
            used = time.process_time() - used
        return statistics.median(times[cold:]), used / (count - cold)
    finally:
        reader.stdin.close()
        try:
            reader.wait(5)
        except subprocess.TimeoutExpired:
            reader.kill()
            reader.wait()
        # Takes the node along.
        context.try_shutdown()


def read() -> None:
    """Acknowledge messages until standard input ends."""
    context = Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node('message_cost_reader', context=context)
    acks = node.create_publisher(TileAck, ACKS, qos.ACKS)
    ack = conversions.message_from_ack(Ack(0, 0, 0, 0, 0, 0, AckState.RECEIVING))
    node.create_subscription(TileMessage, TOPIC, lambda message: acks.publish(ack),
                             qos.tiles(True))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    try:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)
    except KeyboardInterrupt:
        pass  # Ctrl-C goes to whoever measures, too, and that one says so.
    context.try_shutdown()


if __name__ == '__main__':
    read()
