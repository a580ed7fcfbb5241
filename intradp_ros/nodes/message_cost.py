"""
What it costs to hand one message to the middleware.

`python -m intradp_ros.nodes.message_cost` is the reader: it ends when its standard input does.
"""

import statistics
import subprocess
import sys
import threading
import time

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from intradp_ros.msg import Tile as TileMessage
from intradp_ros.nodes import conversions, qos
from intradp_ros.runtime.wire import Stamp, Tile

TOPIC = '/intradp_profile/tiles'
# Seconds between two messages, in which the reader drains them.
PAUSE = 0.01


def publish_seconds(size: int = 60_000, count: int = 50, timeout: float = 20.0) -> float:
    """
    Time the publishing of one Tile message to a reader: conversion and publish(), the median.

    The reader is a process of its own: within one, Fast DDS hands bytes over without a transport.

    :param size: bytes of data in the message, at most what Tile.msg allows.
    :returns: seconds; 0 when no reader was found within `timeout` seconds.
    """
    context = Context()
    rclpy.init(context=context, args=[])
    reader = subprocess.Popen([sys.executable, '-m', __name__], stdin=subprocess.PIPE)
    try:
        node = rclpy.create_node('message_cost', context=context)
        publisher = node.create_publisher(TileMessage, TOPIC, qos.tiles(True))
        until = time.monotonic() + timeout
        while not publisher.get_subscription_count():
            if time.monotonic() > until or reader.poll() is not None:
                return 0.0
            time.sleep(0.02)
        tile = Tile(Stamp(0, 0, 'camera'), 'message_cost', 0, 0, 0, 0, 0, 0, 1, 0, 1, 1,
                    bytes(size))
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            publisher.publish(conversions.message_from_tile(tile))
            times.append(time.perf_counter() - begin)
            time.sleep(PAUSE)
        # The first ones meet cold code and buffers that have yet to grow.
        return statistics.median(times[count // 5:])
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
    """Take messages until standard input ends."""
    context = Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node('message_cost_reader', context=context)
    node.create_subscription(TileMessage, TOPIC, lambda message: None, qos.tiles(True))
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
