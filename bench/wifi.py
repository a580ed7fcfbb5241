"""
What config/fastdds_wifi.xml does for tiles on a link that loses packets.

    sudo scripts/run python bench/wifi.py [--frames 60] [--out bench/results]

Two network namespaces, joined by a veth pair of limited rate (tbf) on which nftables drops packets
at random. Frames of eight 60 KB messages go across, reliable as tiles are; one clock times them.
Profiles take turns within each loss.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time
from array import array
from pathlib import Path

import record

ROOT = Path(__file__).parents[1]
SPACES = ('intradp_wifi_a', 'intradp_wifi_b')
PROFILES = {'default': None, 'fastdds.xml': ROOT / 'config' / 'fastdds.xml',
            'fastdds_wifi.xml': ROOT / 'config' / 'fastdds_wifi.xml'}
MESSAGES, BYTES, PERIOD = 8, 60000, 0.4


def talk(frames: int) -> None:
    """Publish frames; sending time, frame and index stand in front of the data."""
    import rclpy

    from intradp_ros.msg import Tile
    from intradp_ros.nodes import qos
    rclpy.init()
    node = rclpy.create_node('talker')
    publisher = node.create_publisher(Tile, 'tiles', qos.tiles(True))
    while not publisher.get_subscription_count():
        rclpy.spin_once(node, timeout_sec=0.1)
    time.sleep(1.0)
    payload = os.urandom(BYTES - 8)
    for frame in range(frames):
        begin = time.monotonic()
        for index in range(MESSAGES):
            publisher.publish(Tile(frame=frame, index=index, data=array(
                'B', struct.pack('<d', begin) + payload)))
        time.sleep(max(0.0, begin + PERIOD - time.monotonic()))
    time.sleep(5.0)


def listen(frames: int) -> None:
    """Print the time from each frame's first publish() to its last message's arrival."""
    import rclpy

    from intradp_ros.msg import Tile
    from intradp_ros.nodes import qos
    rclpy.init()
    node = rclpy.create_node('listener')
    got: dict[int, int] = {}
    times: dict[int, float] = {}

    def on_tile(tile: Tile) -> None:
        got[tile.frame] = got.get(tile.frame, 0) + 1
        if got[tile.frame] == MESSAGES:
            times[tile.frame] = time.monotonic() - struct.unpack('<d', bytes(tile.data[:8]))[0]
    node.create_subscription(Tile, 'tiles', on_tile, qos.tiles(True))
    until, last = time.monotonic() + frames * PERIOD + 25, 0.0
    while len(times) < frames and time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.1)
        last = max(got, default=0)
        if last == frames - 1 and until > time.monotonic() + 5:
            until = time.monotonic() + 5
    print(json.dumps({'messages': sum(got.values()), 'ms': [t * 1e3 for t in times.values()]}))


def sh(line: str, check: bool = True) -> None:
    subprocess.run(line, shell=True, check=check, stderr=None if check else subprocess.DEVNULL)


def join(rate: str) -> None:
    """Make the namespaces and the link."""
    a, b = SPACES
    for name in SPACES:
        sh(f'ip netns add {name} && ip -n {name} link set lo up')
    sh(f'ip link add idw0 netns {a} type veth peer name idw1 netns {b}')
    for name, device, host in ((a, 'idw0', 1), (b, 'idw1', 2)):
        sh(f'ip -n {name} addr add 10.77.0.{host}/24 dev {device}')
        sh(f'ip -n {name} link set {device} up multicast on')
        sh(f'ip -n {name} route add default dev {device}')
        sh(f'tc -n {name} qdisc add dev {device} root tbf rate {rate} burst 32kb limit 2mb')


def lose(percent: int) -> None:
    """Drop this share of the packets that come in, on both sides."""
    for name in SPACES:
        sh(f'ip netns exec {name} nft flush ruleset')
        if percent:
            # Before the kernel puts fragments together: each packet is lost by itself.
            nft = f'ip netns exec {name} nft'
            sh(f'{nft} add table ip loss')
            sh(f"{nft} 'add chain ip loss in {{ type filter hook prerouting priority -500; }}'")
            sh(f'{nft} add rule ip loss in iifname idw0 numgen random mod 100 \\< {percent} drop')
            sh(f'{nft} add rule ip loss in iifname idw1 numgen random mod 100 \\< {percent} drop')


def measure(profile: Path | None, frames: int, domain: int) -> dict:
    """Run talker and listener once."""
    environment = {k: v for k, v in os.environ.items()
                   if k not in ('FASTDDS_DEFAULT_PROFILES_FILE', 'ROS_LOCALHOST_ONLY')}
    environment |= {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    if profile:
        environment['FASTDDS_DEFAULT_PROFILES_FILE'] = str(profile)
    line = [sys.executable, __file__, '--frames', str(frames), '--role']
    listener, talker = (subprocess.Popen(
        ['ip', 'netns', 'exec', name, *line, role], env=environment, text=True,
        stdout=subprocess.PIPE) for name, role in zip(SPACES, ('listen', 'talk')))
    try:
        said, _ = listener.communicate(timeout=frames * PERIOD + 60)
        heard = json.loads(said)
    finally:
        for process in (listener, talker):
            process.kill()
            process.wait()
    late = sorted(heard['ms'])
    return {'whole_frames': len(late), 'messages': heard['messages'],
            'p50_ms': statistics.median(late) if late else None,
            'p95_ms': late[int(0.95 * (len(late) - 1))] if late else None,
            'max_ms': late[-1] if late else None}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--rate', default='80mbit', help='of the link, as tc takes it')
    parser.add_argument('--loss', type=int, nargs='*', default=[0, 1, 5], help='percent')
    parser.add_argument('--domain', type=int, default=int(os.environ.get('ROS_DOMAIN_ID') or 79))
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results')
    parser.add_argument('--role', choices=('talk', 'listen'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        (talk if args.role == 'talk' else listen)(args.frames)
        return 0
    if os.geteuid() or not all(map(shutil.which, ('ip', 'tc', 'nft'))):
        parser.error('needs root, and ip, tc and nft')
    rows = []
    try:
        join(args.rate)
        for percent in args.loss:
            lose(percent)
            for name, profile in PROFILES.items():
                rows.append({'loss_percent': percent, 'profile': name,
                             **measure(profile, args.frames, args.domain)})
                print(rows[-1], flush=True)
    finally:
        for name in SPACES:
            sh(f'ip netns del {name}', check=False)
    commit = record.commit()
    facts = {'frames': args.frames, 'messages_a_frame': MESSAGES, 'bytes_a_message': BYTES,
             'rate': args.rate, 'commit': commit, 'cpus': len(os.sched_getaffinity(0)),
             'rows': rows}
    lines = [f'Frames of {MESSAGES} reliable messages of {BYTES} bytes at {args.rate}, '
             f'{args.frames} of them; time from the first publish() to the last arrival. '
             f'Written by bench/wifi.py at commit {commit}.', '',
             '| packets lost | profile | whole frames | p50 ms | p95 ms | largest ms |',
             '|---|---|---|---|---|---|']
    for r in rows:
        figures = ' | '.join('-' if r[k] is None else f'{r[k]:.0f}'
                             for k in ('p50_ms', 'p95_ms', 'max_ms'))
        lines.append(f'| {r["loss_percent"]} % | {r["profile"]} | {r["whole_frames"]} of '
                     f'{args.frames} | {figures} |')
    record.write(args.out / 'wifi', facts, '\n'.join(lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
