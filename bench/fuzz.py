"""
Floods the nodes' callbacks with mutated messages, while a good robot goes on being served.

    scripts/run python bench/fuzz.py [--messages 100000] [--seed 0] [--out bench/results]

Seeds are real: a device and an edge work together over DDS, and what they say to each other is
recorded. Each message is then mutated, half of them field by field, half as the serialised CDR
that travels, which the middleware has to read again; and goes to the callback that the node
itself subscribed with. Tiles arrive at the edge in the namespace of a bad robot; acknowledgements,
detections, plans and images at a victim's device. The thread that floods them calls their
callbacks itself, so an exception that leaves one ends the run; what the good robot sends goes the
way of any message.
"""

import argparse
import json
import os
import platform
import random
import resource
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from skimage import data
from std_msgs.msg import Header
from tqdm import tqdm
from vision_msgs.msg import Detection2DArray

import record
from fuzz_mutations import mutated
from intradp_ros.msg import EdgeDetections, FrameReport, Plan, Tile, TileAck
from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.edge_node import EdgeNode
from intradp_ros.runtime.edge import FILLING, LARGEST_MERGE, RUNS

# Small, so that the edge does real work on whole frames in the middle of the flood.
MODEL = {'model': 'demo_detector', 'input_size': '160x128', 'threads': 1,
         'score_threshold': 0.05}
DEVICE = MODEL | {'mode': 'offload', 'deadline_ms': 20000.0}


class Flood:
    """A good robot, a victim, an edge that serves both and a bad robot, on one executor."""

    def __init__(self, seed: int, domain: int | None = None):
        self.rng = random.Random(seed)
        self.counts: Counter = Counter()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.edge = self._start(EdgeNode, '/edge', MODEL)
        self.good = self._start(DeviceNode, '/good', DEVICE)
        self.victim = self._start(DeviceNode, '/victim', DEVICE)
        self.probe = rclpy.create_node('flood', context=self.context)
        self.executor.add_node(self.probe)
        # Whoever announces tiles is a robot to the edge.
        self.probe.create_publisher(Tile, '/bad/intradp/tiles', qos.tiles(True))
        self.heard: dict[str, list] = {}
        self.cameras = {}
        for robot in ('good', 'victim'):
            self.cameras[robot] = self.probe.create_publisher(
                Image, f'/{robot}/image', qos.camera(True))
            self.probe.create_subscription(
                Detection2DArray, f'/{robot}/detections',
                self.heard.setdefault(f'/{robot}/detections', []).append, qos.DETECTIONS)
        detector = self.good.session.detector
        picture = data.chelsea()
        # Forged detections are drawn too, while somebody looks.
        self.reports: list[FrameReport] = []
        self.probe.create_subscription(Image, '/victim/detections/image', lambda _: None,
                                       qos.image(True))
        self.probe.create_subscription(FrameReport, '/victim/intradp/report',
                                       self.reports.append, qos.REPORTS)
        self.images = [np.ascontiguousarray(picture[y:y + 150, x:x + 200, :3])
                       for y, x in ((0, 0), (100, 150), (150, 250), (50, 200))]
        self.expected = [detector.detect(image) for image in self.images]
        self.shots = 0
        self.bound = 3 * RUNS * FILLING * (1 + LARGEST_MERGE) * detector.input_bytes

    def _start(self, factory, namespace: str, overrides: dict):
        node = factory(overrides=overrides, context=self.context, namespace=namespace)
        self.executor.add_node(node)
        if not node.start():
            raise SystemExit(f'{node.get_fully_qualified_name()} does not start')
        return node

    def spin(self, condition, what: str, seconds: float = 30.0) -> None:
        """Let callbacks run until something holds; exits with `what` when it does not."""
        until = time.monotonic() + seconds
        while not condition():
            self.executor.spin_once(timeout_sec=0.02)
            if time.monotonic() > until:
                raise SystemExit(f'not within {seconds:g} s: {what}; so far {dict(self.counts)}')

    @staticmethod
    def callback(node, topic: str):
        """Find what a node has subscribed a topic with."""
        return next(s.callback for s in node.subscriptions if s.topic_name == topic)

    def publish(self, robot: str) -> Header:
        """Show a robot's camera the next picture."""
        for heard in (*self.heard.values(), self.reports):
            del heard[:-1]  # or this process would grow, and not by what it measures
        self.shots += 1
        header = Header(frame_id=robot)
        header.stamp.sec = self.shots
        self.cameras[robot].publish(conversions.image_from_rgb(
            self.images[self.shots % len(self.images)], header))
        return header

    def shoot(self, robot: str) -> None:
        """Have a robot process an image; its detections must be the whole model's."""
        heard = self.heard[f'/{robot}/detections']
        header, before = self.publish(robot), len(heard)
        self.spin(lambda: len(heard) > before, f'{robot} owes the detections of its image')
        found = heard[-1]
        assert len(heard) == before + 1 and found.header == header
        differs = conversions.detections_from_message(found).differs(
            self.expected[self.shots % len(self.images)])
        assert not differs, f'frame {self.shots} of {robot}: {differs}'
        self.counts[f'exact frames of {robot}'] += 1

    def shoot_victim(self) -> None:
        """
        Flood a device in the middle of a frame, with its own session, frame and stamp.

        Forged detections of a frame in work are believed, so nothing is said about what comes out
        but that it comes once: whoever may publish here is a matter of SROS2.
        """
        header = self.publish('victim')
        for _ in range(20):
            self.executor.spin_once(timeout_sec=0.001)
            self.send('acks')
            self.send('detections')
        heard = self.heard['/victim/detections']
        self.spin(lambda: heard and heard[-1].header.stamp == header.stamp,
                  'the victim owes the detections of its image')
        self.counts['frames of the victim'] += 1
        assert sum(h.header.stamp == header.stamp for h in heard) == 1

    def _matched(self) -> bool:
        devices = {'good': self.good, 'victim': self.victim}
        return {'/good', '/victim', '/bad'} <= self.edge.robots.keys() and all(
            self.cameras[name].get_subscription_count()
            and device.count_subscribers(f'/{name}/intradp/tiles')
            and device.count_publishers(f'/{name}/intradp/edge_detections')
            and next(s for s in device.subscriptions if s.topic_name == f'/{name}/image')
            .qos_profile.reliability is ReliabilityPolicy.RELIABLE
            for name, device in devices.items())

    def record(self) -> None:
        """Collect what a healthy pair says to each other: the seeds of all mutations."""
        self.seeds: dict[str, list] = {'tiles': [], 'acks': [], 'detections': []}
        listening = [
            self.probe.create_subscription(kind, topic, self.seeds[name].append, profile)
            for name, kind, topic, profile in (
                ('tiles', Tile, '/good/intradp/tiles', qos.tiles(True)),
                ('acks', TileAck, '/victim/intradp/acks', qos.ACKS),
                ('detections', EdgeDetections, '/victim/intradp/edge_detections',
                 qos.DETECTIONS))]
        self.spin(self._matched, 'cameras, devices and edge find each other')
        for codec in ('uint8', 'zlib', 'jpeg', 'uint8'):
            self.good.set_parameters([rclpy.parameter.Parameter('codec', value=codec)])
            self.victim.set_parameters([rclpy.parameter.Parameter(
                'mode', value='split' if codec == 'zlib' else 'offload')])
            if codec == 'jpeg':  # lossy: nothing to compare
                header = self.publish('good')
                self.spin(lambda at=header: self.heard['/good/detections'][-1].header == at,
                          'good owes the detections of its image')
            else:
                self.shoot('good')
                self.shoot('victim')
        self.spin(lambda: all(self.seeds.values()), 'messages to mutate arrive')
        for subscription in listening:
            self.probe.destroy_subscription(subscription)
        stamps = sorted({tile.header.stamp.sec for tile in self.seeds['tiles']})
        self.frames = [[tile for tile in self.seeds['tiles'] if tile.header.stamp.sec == stamp]
                       for stamp in stamps]
        self.seeds['plans'] = [Plan(number=3, mode='offload', tile_count=8, codec='uint8',
                                    deadline_ms=300.0, reason='of the flood')]
        self.seeds['images'] = [conversions.image_from_rgb(self.images[0][:24, :32], Header())]

    def send(self, name: str = '') -> None:
        """Mutate one message and hand it to its callback."""
        name = name or self.rng.choices(('tiles', 'acks', 'detections', 'plans', 'images'),
                                        (70, 10, 10, 8, 2))[0]
        spoil = 0.8
        if name == 'tiles':
            # Frame after frame of the record, twice over, some of them nearly sound: the edge is
            # to be in the middle of real work.
            number = self.counts['tiles'] // 20
            frame = self.frames[number % len(self.frames)]
            message = frame[self.counts['tiles'] % len(frame)]
            message.frame = number
            spoil = 0.8 if number % 4 else 0.3
        else:
            message = self.rng.choice(self.seeds[name])
        if name == 'acks':
            message.session = self.victim.session.number
            message.frame = self.reports[-1].frame + self.rng.randrange(2)
        elif name == 'detections' and self.rng.random() < 0.3:
            message.header.stamp.sec, message.header.frame_id = self.shots, 'victim'
        wrong = mutated(self.rng, message) if self.rng.random() < spoil else message
        self.counts[name] += 1
        if wrong is None:
            self.counts['unreadable'] += 1
            return
        node, topic = {
            'tiles': (self.edge, '/bad/intradp/tiles'),
            'acks': (self.victim, '/victim/intradp/acks'),
            'detections': (self.victim, '/victim/intradp/edge_detections'),
            'plans': (self.victim, '/victim/intradp/plan'),
            'images': (self.victim, '/victim/image')}[name]
        # Arrivals are stamped by the middleware, which may not know the time. A Receiver tells
        # them, the executor does not.
        info = {'received_timestamp': self.rng.choice((0, time.time_ns(), 2**62))}
        self.callback(node, topic)(wrong, *() if name == 'plans' else [info])

    def run(self, messages: int, burst: int = 25) -> dict:
        """Flood, burst by burst; between them the nodes spin and the good robot takes pictures."""
        self.record()
        for _ in range(4):
            self.shoot('good')
        tracemalloc.start()
        held, peak, resident = tracemalloc.get_traced_memory()[0], 0, resident_bytes()
        begin = time.monotonic()
        for sent in tqdm(range(0, messages, burst), unit=' bursts', disable=None):
            tracemalloc.reset_peak()
            for _ in range(burst):
                self.send()
            peak = max(peak, tracemalloc.get_traced_memory()[1] - held)
            for _ in range(3):
                self.executor.spin_once(timeout_sec=0)
            if sent // burst % 8 == 0:
                self.shoot('good')
            if sent // burst % 20 == 0:
                self.shoot_victim()
        after = tracemalloc.get_traced_memory()[0] - held
        tracemalloc.stop()
        return {'messages': messages, 'seconds': time.monotonic() - begin,
                'peak_python_bytes': peak, 'kept_python_bytes': after, 'bound_bytes': self.bound,
                # The engines remember how bands were computed: some 6 KB each, a bounded number.
                'plans_remembered': sum(n.session._engine.planner.states
                                        for n in (self.edge, self.good, self.victim)),
                'resident_growth_bytes': resident_bytes() - resident,
                'what': dict(sorted(self.counts.items())),
                'edge_tiles_of_the_bad_robot': dict(sorted(
                    self.edge.session.robots['/bad'].counts.items()))}

    def close(self) -> None:
        """End the nodes."""
        for node in (self.good, self.victim, self.edge):
            node.close()
        self.executor.shutdown()
        for node in (self.good, self.victim, self.edge, self.probe):
            node.destroy_node()
        self.context.try_shutdown()


def resident_bytes() -> int:
    """Give the memory of this process that is in use now."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--messages', type=int, default=100_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results')
    args = parser.parse_args()
    flood = Flood(args.seed)
    try:
        figures = flood.run(args.messages)
    finally:
        flood.close()
    figures |= {'seed': args.seed, 'python': platform.python_version(),
                'ros': 'kilted', 'cpus': len(os.sched_getaffinity(0)),
                'commit': record.commit()}
    record.write(args.out / 'fuzz', figures)
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
