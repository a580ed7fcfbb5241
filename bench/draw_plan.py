"""
Draw the pictures of README's section on planning: doc/images/plan_{gantt,sweep}.png.

The robot is estimated (4 GMAC/s, 1e9 elements a second, 20 us a call), the edge ten times as fast:
so the pictures do not depend on the machine that draws them. With --profile they show a robot
that was measured with `intradp profile`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from intradp_ros.cli.main import main as intradp
from intradp_ros.model import zoo
from intradp_ros.planning import profile_file
from intradp_ros.planning.profile import CodecCost, estimated

IMAGES = Path(__file__).parents[1] / 'doc' / 'images'


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--profile', type=Path, metavar='FILE')
    parser.add_argument('--bandwidth', default='5', metavar='MB/s')
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = args.profile or Path(folder) / 'robot.json'
        if not args.profile:
            profile_file.save(estimated(
                zoo.build('demo_detector', 'random').graph, 4e9, model='demo_detector',
                before=3e-3, after=2e-3, message_seconds=1e-4,
                codecs=(CodecCost('uint8', 1.0, 0.0, 0.0),)), path)
        same = 'plan', '--profile', str(path), '--bandwidth', args.bandwidth
        intradp([*same, '--planner', 'offload,cic,intra_dp,frontier',
                 '--gantt', str(IMAGES / 'plan_gantt.png')])
        intradp([*same, '--sweep', str(IMAGES / 'plan_sweep.png')])


if __name__ == '__main__':
    main()
