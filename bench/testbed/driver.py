"""
The camera and the ears of one robot: a process in its namespace, led by lines of JSON.

Commands come on standard input, one a line; events go to standard output, one a line, each with
`t`, seconds of the machine's monotonic clock (the same one in all namespaces).

    {"command": "wait", "edge": true}     -> matched: device and edge are there
    {"command": "set", "node": "device_node", "parameters": {...}}  -> set, with what was refused
    {"command": "watch", "frames": 100, "warmup": 10, "rate": 0, "pause": 0.02, "patience": 60}
        -> sent, report, detections ...; begin after the warm-up, end at the end

With rate 0 the next image is published when the detections of the last one have been heard and a
pause (0.5 to 1.5 times `pause`, so that nothing falls into step) has passed: nothing ever queues.
"""

import argparse
import json
import queue
import random
import sys
import threading
import time
from contextlib import suppress

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter as Value
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from intradp_ros.msg import FrameReport
from intradp_ros.nodes import conversions, qos

# What users of image_transport get who set nothing.
JPEG_QUALITY = 95
# Seconds: whatever comes twice comes soon after; what was lost once comes with the next heartbeat.
SETTLE, HEARTBEAT = 0.3, 4.0


def say(event: str, **facts: object) -> None:
    """Tell the harness."""
    print(json.dumps({'event': event, 't': time.monotonic()} | facts), flush=True)


class Pace:
    """
    When to publish: at a rate (images a second), or, with 0, a pause after the last answer.

    An answer that has not come after `patience` seconds is not waited for any longer.
    """

    def __init__(self, rate: float, pause: float, patience: float):
        self._rate, self._pause, self._patience = rate, pause, patience
        self.next = 0.0

    def sent(self, now: float) -> None:
        """Note that an image has been published."""
        if self._rate:
            self.next = max(self.next + 1 / self._rate, now)
        else:
            self.next = now + self._patience

    def answered(self, now: float) -> None:
        """Note that the detections of the last image are there."""
        if not self._rate:
            self.next = now + self._pause * random.uniform(0.5, 1.5)


class Driver(Node):
    """
    Publishes images and tells what comes back.

    :param images: uint8 RGB (N, H, W, 3), shown in turn.
    :param compressed: publish JPEG on `image/compressed` instead of `image`.
    """

    def __init__(self, namespace: str, images: np.ndarray, compressed: bool):
        super().__init__('driver', namespace=namespace)
        self._images = images
        # Ready but for their stamps: what is measured begins with an image that is there.
        self._ready = [] if compressed else [
            conversions.image_from_rgb(image, Header(frame_id='camera')) for image in images]
        kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        self._publisher = self.create_publisher(kind, topic, qos.camera(True))
        self.create_subscription(Detection2DArray, 'detections', self._on_detections,
                                 qos.DETECTIONS)
        self.create_subscription(FrameReport, 'intradp/report', self._on_report, qos.REPORTS)
        self._shown = 0
        self._last: tuple[int, int] | None = None
        self._pace = Pace(0, 0, 0)
        self._counted: set[tuple[int, int]] = set()  # images after the warm-up
        self._unheard: set[tuple[int, int]] = set()  # of these, processed but not heard of
        self._heard: set[tuple[int, int]] = set()
        self._processed = self._warmed = 0
        # One a node: each has six services, and whatever the executor looks at costs the robot.
        self._parameter_clients: dict[str, AsyncParameterClient] = {}
        self._spinner = SingleThreadedExecutor()
        self._spinner.add_node(self)

    def spin(self, seconds: float) -> None:
        """Make the callbacks of what has come, or comes within so many seconds."""
        self._spinner.spin_once(timeout_sec=seconds)

    def _on_detections(self, message: Detection2DArray) -> None:
        now = time.monotonic()
        stamp = stamp_of(message.header)
        self._heard.add(stamp)
        self._unheard.discard(stamp)
        if stamp == self._last:
            self._pace.answered(now)
        found = conversions.detections_from_message(message)
        say('detections', heard=now, stamp=stamp, boxes=found.boxes.tolist(),
            scores=found.scores.tolist(), labels=found.labels.tolist())

    def _on_report(self, message: FrameReport) -> None:
        stamp = stamp_of(message.header)
        if stamp in self._counted:
            self._processed += 1
            self._unheard |= {stamp} - self._heard
        else:
            self._warmed += 1
        say('report', stamp=stamp, **{name: getattr(message, name) for name
                                      in message.get_fields_and_field_types()
                                      if name != 'header'})

    def _publish(self) -> tuple[int, int]:
        number = self._shown % len(self._images)
        self._shown += 1
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id='camera')
        begin = time.monotonic()
        if self._ready:
            message = self._ready[number]
            message.header = header
        else:
            message = CompressedImage(header=header, format='rgb8; jpeg compressed bgr8',
                                      data=conversions.bytes_field(jpeg(self._images[number])))
        self._last = stamp_of(header)
        self._publisher.publish(message)
        say('sent', begin=begin, stamp=self._last, image=number)
        return self._last

    # -- commands ------------------------------------------------------------------------------

    def wait(self, edge: bool, patience: float = 280.0) -> None:
        """
        Wait until an image would be processed and its detections heard; give up a little before
        the harness does (robot.PATIENCE).
        """
        wanted = ['detections', 'intradp/edge_detections'] if edge else ['detections']
        until = time.monotonic() + patience
        while not (self._publisher.get_subscription_count()
                   and all(map(self.count_publishers, map(self.resolve_topic_name, wanted)))):
            self.spin(0.02)
            if time.monotonic() > until:
                say('failed', reason=f'no device{" and edge" * edge} within {patience:.0f} s')
                return
        say('matched')

    def set(self, node: str, parameters: dict[str, object]) -> None:
        """Set parameters of a node in this namespace."""
        client = self._parameter_clients.get(node)
        if client is None:
            name = f'{self.get_namespace().rstrip("/")}/{node}'
            client = self._parameter_clients[node] = AsyncParameterClient(self, name)
        refused = ['no answer']
        if client.wait_for_services(30.0):
            done = client.set_parameters([Value(k, value=v) for k, v in parameters.items()])
            self._spinner.spin_until_future_complete(done, timeout_sec=30.0)
            if done.done():
                refused = [r.reason for r in done.result().results if not r.successful]
        say('set', refused=refused)

    def watch(self, frames: int = 10**9, seconds: float = 1e9, warmup: int = 10,
              rate: float = 0.0, pause: float = 0.02, patience: float = 30.0) -> None:
        """
        Publish until `frames` images after `warmup` have been processed, or for `seconds`.

        Without any processed frame for three times the patience it has failed.
        """
        self._pace = Pace(rate, pause, patience)
        self._processed = self._warmed = 0
        self._counted, self._unheard, self._heard = set(), set(), set()
        begun = progress = time.monotonic()
        processed = 0
        while self._processed < frames and time.monotonic() < begun + seconds:
            now = time.monotonic()
            if now >= self._pace.next:
                warm = self._warmed >= warmup
                if warm and not self._counted:
                    say('begin')
                    begun = now
                stamp = self._publish()
                self._pace.sent(now)
                if warm:
                    self._counted.add(stamp)
            # Each time that it wakes up takes the robot's core from a frame in work.
            self.spin(max(0.0, min(1.0, self._pace.next - now, begun + seconds - now)))
            if self._warmed + self._processed > processed:
                processed, progress = self._warmed + self._processed, now
            elif now > progress + 3 * patience:
                say('failed', reason=f'no frame was processed for {3 * patience:.0f} s')
                return
        self._settle()
        say('end')

    def _settle(self) -> None:
        """Hear what is still on its way: what is missing, and then what comes twice."""
        until = time.monotonic() + HEARTBEAT
        while self._unheard and time.monotonic() < until:
            self.spin(0.05)
        until = time.monotonic() + SETTLE
        while time.monotonic() < until:
            self.spin(0.05)


def stamp_of(header: Header) -> tuple[int, int]:
    """Seconds and nanoseconds of a header."""
    return header.stamp.sec, header.stamp.nanosec


def jpeg(image: np.ndarray) -> np.ndarray:
    """Encode uint8 RGB as image_transport does."""
    return cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].reshape(-1)


def main() -> int:
    """Serve commands until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--namespace', required=True)
    parser.add_argument('--images', required=True, help='.npy, uint8 RGB (N, H, W, 3)')
    parser.add_argument('--compressed', action='store_true')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    commands: queue.Queue[dict | None] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            commands.put(json.loads(line))
        commands.put(None)
    threading.Thread(target=read, daemon=True).start()
    rclpy.init(args=[])
    node = Driver(args.namespace, np.load(args.images), args.compressed)
    say('ready')
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        while True:
            with suppress(queue.Empty):
                command = commands.get_nowait()
                if command is None:
                    break
                getattr(node, command.pop('command'))(**command)
            node.spin(0.02)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
