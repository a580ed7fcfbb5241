"""Watches a robot's topics for a number of frames, then counts, compares, and writes pictures."""

import os
import sys
import time
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter as Value
from rclpy.qos import QoSProfile
from rclpy.time import Time
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image
from tqdm import tqdm
from vision_msgs.msg import Detection2DArray

from intradp_ros.errors import IntraDPError
from intradp_ros.model.detector import Detections
from intradp_ros.msg import FrameReport
from intradp_ros.nodes import conversions, demo_summary, models, parameters, qos
from intradp_ros.nodes.demo_summary import Record
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.runtime.wire import Report, Stamp

TABLE = (
    *models.MODEL,
    Parameter('frames', 60, 'Processed frames to watch', low=1, high=100000),
    Parameter('wait_for_edge', True, 'Begin after the first frame of which the edge has heard'),
    Parameter('patience', 90.0, 'Longest wait for the next frame', 's', 1.0, 3600.0),
    Parameter('out', 'demo', 'Folder for detections.png and summary.json'),
)
# Images that may wait for the report of their frame.
IMAGES = 100


class DemoObserver(Node):
    """Subscribes to `image`, `detections` and `intradp/report` and keeps what it hears."""

    def __init__(self, overrides: dict[str, object] | None = None, **options):
        super().__init__('demo_observer', parameter_overrides=[
            Value(key, value=value) for key, value in (overrides or {}).items()], **options)
        parameters.declare(self, TABLE, lambda: True)
        self.records: dict[Stamp, Record] = {}
        self._images: dict[Stamp, Image] = {}
        self._detections: dict[Stamp, list[tuple[Detection2DArray, float]]] = {}
        self._truths: dict[Stamp, Detections] = {}
        self._begun = not self.get_parameter('wait_for_edge').value
        self.create_subscription(Image, 'image', self._on_image, QoSProfile(depth=30))
        self.create_subscription(Detection2DArray, 'detections', self._on_detections,
                                 QoSProfile(depth=100))
        self.create_subscription(Detection2DArray, 'ground_truth', self._on_truth,
                                 QoSProfile(depth=100))
        self.create_subscription(FrameReport, 'intradp/report', self._on_report, qos.REPORTS)

    def _on_image(self, image: Image) -> None:
        self._images[conversions.stamp_from(image.header)] = image
        while len(self._images) > IMAGES:
            self._images.pop(next(iter(self._images)))

    def _on_detections(self, message: Detection2DArray) -> None:
        now = self.get_clock().now()
        sent = Time.from_msg(message.header.stamp, clock_type=now.clock_type)
        stamp = conversions.stamp_from(message.header)
        self._detections.setdefault(stamp, []).append((message, (now - sent).nanoseconds / 1e6))

    def _on_truth(self, message: Detection2DArray) -> None:
        self._truths[conversions.stamp_from(message.header)] = \
            conversions.detections_from_message(message)

    def _on_report(self, message: FrameReport) -> None:
        report = Report(conversions.stamp_from(message.header), **{
            name: getattr(message, name) for name in Report.__dataclass_fields__
            if name != 'stamp'})
        # The frame in which the edge was first heard may have begun without it: begin after it.
        if self._begun and len(self.records) < self.get_parameter('frames').value:
            self.records[report.stamp] = Record(report)
        # Where a plan says that the device is sooner the edge answers none: it hears of some.
        self._begun = self._begun or report.acknowledged > 0 and not report.fallback

    @property
    def complete(self) -> bool:
        """True when enough frames have been seen, each with its detections."""
        return (len(self.records) >= self.get_parameter('frames').value
                and all(stamp in self._detections for stamp in self.records))

    def collect(self) -> dict[Stamp, Record]:
        """Bring together what belongs to each processed frame."""
        for stamp, record in self.records.items():
            heard = self._detections.get(stamp, [])
            record.detections = [conversions.detections_from_message(m) for m, _ in heard]
            if heard:
                record.latency_ms = heard[0][1]
            record.truth = self._truths.get(stamp)
        self.keep_images()
        return self.records

    def keep_images(self) -> None:
        """Decode the images of frames that have been reported, before they are pushed out."""
        for stamp, record in self.records.items():
            if record.image is None and stamp in self._images:
                record.image = conversions.rgb_from_image(self._images.pop(stamp))


def observe(node: DemoObserver, check=lambda: None) -> tuple[dict, list[str]]:
    """
    Watch, then summarize and write.

    :param check: called again and again while watching; may raise to end it.
    """
    frames, patience = (node.get_parameter(n).value for n in ('frames', 'patience'))
    progress = tqdm(total=frames, desc='frames', unit='frame')
    heard = time.monotonic()
    with progress:
        while not node.complete:
            rclpy.spin_once(node, timeout_sec=0.2)
            check()
            node.keep_images()
            if len(node.records) > progress.n:
                heard = time.monotonic()
                progress.update(len(node.records) - progress.n)
            # A reliable message that was lost once comes again within seconds.
            elif time.monotonic() > heard + (10 if len(node.records) == frames else patience):
                break
    # Whatever comes twice comes soon after.
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.1)
    if not node.records:
        raise IntraDPError(f'no frame was processed within {patience:.0f} s: is there a camera on '
                           f'{node.resolve_topic_name("image")}, is device_node active, and (with '
                           f'wait_for_edge) an edge of the same model in reach?')
    detector = models.build(node)
    figures, faults = demo_summary.summarize(
        node.collect(), detector, os.environ.get('ROS_DISTRO', 'unknown'),
        get_rmw_implementation_identifier())
    if figures['frames'] < frames:
        faults.insert(0, f'only {figures["frames"]} of {frames} frames within {patience:.0f} s')
    demo_summary.save(Path(node.get_parameter('out').value), figures, node.records,
                      detector.labels)
    return figures, faults


def main(args: list[str] | None = None) -> int:
    """Run the observer until it has seen enough; 1 when anything was missing, twice or unequal."""
    rclpy.init(args=args)
    node = None
    try:
        node = DemoObserver()
        figures, faults = observe(node)
        print(demo_summary.table(figures, faults))
        return int(bool(faults))
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    except IntraDPError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
