"""
The main job, end to end: camera, device, edge and parameter server as processes that talk over
DDS.

Ends by itself and leaves DIR/detections.png, DIR/summary.json and a table; the exit code says
whether every frame got exactly one detection message that equals the whole model's.
"""

import argparse
import json
import os
import random
import signal
import sys
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions

from intradp_ros.errors import IntraDPError
from intradp_ros.model import zoo
from intradp_ros.nodes import demo_summary
from intradp_ros.nodes.demo_observer import DemoObserver, observe
from intradp_ros.nodes.device_parameters import LIVE
from intradp_ros.nodes.processes import Processes, command
from intradp_ros.scenes.sources import SOURCES

MODES = next(p.choices for p in LIVE if p.name == 'mode')


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='scripts/demo', description=__doc__)
    parser.add_argument('--frames', type=int, default=60, help='processed frames (default 60)')
    parser.add_argument('--mode', choices=MODES, default='offload', help='default: offload')
    parser.add_argument('--model', choices=zoo.names(), metavar='NAME',
                        default='demo_detector',
                        help='any detector or classifier of the zoo (default: %(default)s)')
    parser.add_argument('--weights', default='DEFAULT',
                        help='"DEFAULT" (the default; torchvision\'s need internet), a file, or '
                             '"random"')
    parser.add_argument('--rate', type=float, default=8.0, help='camera images a second')
    parser.add_argument('--source', default='scenes', choices=tuple(SOURCES),
                        help='what the camera shows (default: scenes, drawn objects with known '
                             'places in photographs)')
    parser.add_argument('--path', default='', help='of the source: folder, file, seed ...')
    parser.add_argument('--out', type=Path, default=Path('demo'), metavar='DIR',
                        help='folder for picture, summary and logs (default: demo)')
    parser.add_argument('--json', action='store_true',
                        help='print summary.json instead of the table')
    args = parser.parse_args(arguments)
    if args.frames < 1:
        parser.error('--frames must be at least 1')
    return args


def say(text: str) -> None:
    """Tell the user; stdout is for results."""
    print(f'[demo] {text}', file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    """Start the four nodes, watch them, and end them."""
    # A domain of its own, on this machine only: a demo must not talk to the robots in the
    # building.
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.randrange(1, 100)))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    # Device, edge and observer share this machine's cores.
    # Random weights are never sure of anything: a low threshold gives boxes to compare all the
    # same.
    shared = {'model': args.model, 'weights': args.weights,
              'score_threshold': 0.005 if args.weights == 'random' else 0.4,
              'threads': max(1, (os.cpu_count() or 2) // 2)}
    camera = {'rate': args.rate, 'source': args.source, 'path': args.path}
    say(f'camera, device, edge and parameter server; logs in {args.out / "logs"}')
    with Processes(args.out / 'logs') as processes:
        processes.start('edge_node', command('edge_node', '/edge', 'edge.yaml', shared))
        for node, parameters in (('device_node', shared | {'mode': args.mode}),
                                 ('parameter_server', {}), ('camera_node', camera)):
            processes.start(node, command(node, '/robot', 'robot.yaml', parameters))
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        node = DemoObserver(shared | {
            'frames': args.frames, 'out': str(args.out), 'wait_for_edge': args.mode != 'local'},
            namespace='/robot')
        try:
            figures, faults = observe(node, processes.check)
        finally:
            node.destroy_node()
            rclpy.try_shutdown()
        codes = processes.stop_all()
    faults += [f'{name} ended with code {code}' for name, code in codes.items() if code]
    if args.json:
        print(json.dumps(figures, indent=2))
        for fault in faults:
            say(fault)
    else:
        print(demo_summary.table(figures, faults))
    say(f'pictures: {args.out / "detections.png"}  figures: {args.out / "summary.json"}')
    say('next: scripts/demo --mode split, scripts/test, or your own camera (README.md)')
    return int(bool(faults))


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; SIGINT and SIGTERM end it and all that it started."""
    # Said plainly, because a shell's background jobs start with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return run(parse(arguments))
    except KeyboardInterrupt:
        say('interrupted; every process has been ended')
        return 130
    except IntraDPError as error:
        say(f'error: {error}')
        return 1


if __name__ == '__main__':
    sys.exit(main())
