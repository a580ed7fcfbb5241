"""What it costs to hand one message to the middleware."""

import statistics
import time

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from intradp_ros.msg import Tile as TileMessage
from intradp_ros.nodes import conversions, qos
from intradp_ros.runtime.wire import Stamp, Tile


def publish_seconds(size: int = 60_000, count: int = 50, timeout: float = 10.0) -> float:
    """
    Time the publishing of one Tile message to a reader: conversion and publish(), the median.

    The reader is a participant of its own, so that bytes really leave the publisher; a short
    pause between messages lets it drain them.

    :param size: bytes of data in the message, at most what Tile.msg allows.
    :returns: seconds; 0 when no reader was found within `timeout` seconds.
    """
    contexts = [Context(), Context()]
    for context in contexts:
        rclpy.init(context=context, args=[])
    try:
        writer, reader = (rclpy.create_node(f'message_cost_{name}', context=context,
                                            namespace='/intradp_profile')
                          for name, context in zip(('writer', 'reader'), contexts))
        publisher = writer.create_publisher(TileMessage, 'tiles', qos.tiles(True))
        reader.create_subscription(TileMessage, 'tiles', lambda message: None, qos.tiles(True))
        executor = SingleThreadedExecutor(context=contexts[1])
        executor.add_node(reader)
        until = time.monotonic() + timeout
        while not publisher.get_subscription_count():
            if time.monotonic() > until:
                return 0.0
            executor.spin_once(timeout_sec=0.05)
        tile = Tile(Stamp(0, 0, 'camera'), 'message_cost', 0, 0, 0, 0, 0, 0, 1, 0, 1, 1,
                    bytes(size))
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            publisher.publish(conversions.message_from_tile(tile))
            times.append(time.perf_counter() - begin)
            executor.spin_once(timeout_sec=0.02)
        # The first ones meet cold code and buffers that have yet to grow.
        return statistics.median(times[count // 5:])
    finally:
        for context in contexts:
            # Takes the nodes of the context along.
            context.try_shutdown()
