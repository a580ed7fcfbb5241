"""
A robot gone mad: publishes tiles that nobody asked for.

Half of them are malformed (rows beyond the image, data that is not what it says), half belong to
frames that never end. Started in a robot's namespace; ended by a signal. With --sink it is the one
who listens to such a robot and does nothing.
"""

import argparse
import random
import sys
import time
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from intradp_ros.msg import Tile
from intradp_ros.nodes import conversions, qos


def main() -> int:
    """Flood until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--namespace', required=True)
    parser.add_argument('--model', required=True, help='identity, "name#fingerprint"')
    parser.add_argument('--rate', type=float, default=1000.0,
                        help='tiles of 50 kB a second, if they can be published so fast '
                        '(default %(default)g)')
    parser.add_argument('--sink', action='store_true', help='listen, and do nothing')
    args = parser.parse_args()
    rclpy.init(args=[])
    node = Node('sink' if args.sink else 'flood', namespace=args.namespace)
    if args.sink:
        node.create_subscription(Tile, 'intradp/tiles', lambda data: None, qos.tiles(False),
                                 raw=True)
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            rclpy.spin(node)
        rclpy.try_shutdown()
        return 0
    publisher = node.create_publisher(Tile, 'intradp/tiles', qos.tiles(False))
    data = conversions.bytes_field(random.randbytes(50000))
    tile = Tile(model=args.model, session=random.getrandbits(64), data=data, image_height=480,
                image_width=640)
    following = time.monotonic()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        while rclpy.ok():
            following = max(following + 1 / args.rate, time.monotonic())
            time.sleep(max(0.0, following - time.monotonic()))
            tile.frame += 1
            if random.random() < 0.5:
                tile.tensor, tile.codec = random.randrange(300), random.randrange(256)
                tile.row_begin, tile.row_end = random.randrange(65536), random.randrange(65536)
            else:
                tile.tensor, tile.codec = 0, Tile.CODEC_UINT8
                tile.row_begin, tile.row_end = 0, len(data) // (640 * 3)
            tile.header.stamp.sec = tile.frame
            publisher.publish(tile)
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
