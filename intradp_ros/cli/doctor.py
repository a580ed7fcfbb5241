"""
Examine a running system from either side: what is wrong, and what exactly cures it.

It looks at this machine (middleware, discovery, socket buffers, fragments, interfaces, shared
memory, cores) and at every robot and edge of the ROS domain (lifecycle, QoS of each topic, models,
clocks, link, frames), and changes nothing. Run it on the robot, and on the server too: each sees
its own machine. Exit code: 0 nothing found, 1 findings, 2 bad arguments or no ROS.
"""

import argparse
import dataclasses
import json
import sys

from intradp_ros.errors import IntraDPError, ParameterError

COLOURS = {'ok': '32', 'hint': '33', 'fault': '31'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `intradp doctor`."""
    parser.add_argument('--seconds', type=float, default=5.0, metavar='N',
                        help='time to listen (default %(default)s)')
    parser.add_argument('--edge', default='', metavar='NAMESPACE',
                        help='look at the edge in this namespace only (default: at every one)')
    parser.add_argument('--json', action='store_true', help='print JSON and nothing else')


def run(args: argparse.Namespace) -> int:
    """Print what was found, one line a check; 1 when there is a fault."""
    if not 1 <= args.seconds <= 3600:
        raise ParameterError(f'--seconds must lie in 1 to 3600, not {args.seconds:g}')
    try:
        from intradp_ros.nodes.doctor import examine
    except ImportError as error:
        raise IntraDPError(f'this command needs ROS 2 and the built package ({error}): '
                           f'source install/setup.bash, or scripts/run intradp doctor') from error
    found = examine(args.seconds, args.edge)
    faults = [f for f in found if f.level == 'fault']
    if args.json:
        print(json.dumps({'faults': len(faults),
                          'findings': [dataclasses.asdict(f) for f in found]}, indent=2))
        return int(bool(faults))
    coloured = sys.stdout.isatty()
    width = max(len(f.subject) for f in found)
    for finding in found:
        level = f'{finding.level:5}'
        if coloured:
            level = f'\033[{COLOURS[finding.level]}m{level}\033[0m'
        print(f'{level}  {finding.subject:{width}}  {finding.text}')
        if finding.cure:
            print(f'{"":5}  {"":{width}}  -> {finding.cure}')
    hints = sum(f.level == 'hint' for f in found)
    print(f'{len(faults)} faults, {hints} hints')
    return int(bool(faults))
