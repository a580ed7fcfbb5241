"""
Whether a reader that was killed and started again on the same host is heard again.

    scripts/run python bench/restarts.py [--kills 60] [--kilobytes 512 8192] [--out DIR]

A publisher sends reliable messages of 60 KB (tiles) and small ones; a reader process is killed in
the middle, half of the time after it hung for a moment, and another one started. With the shared
memory that Fast DDS takes by itself, and with more. All sizes run at the same time, each in a ROS
domain of its own.
"""

import argparse
import array
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tqdm import tqdm

import record

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / 'config' / 'fastdds_shared_memory.xml'
BYTES = 60000
# A reader that has not had a second message after so long (seconds; the middleware repeats what
# was lost every 3 s) is not heard any more; Fast DDS by itself takes 512 KB.
PATIENCE, DEFAULT = 12.0, 512


def read() -> None:
    """Print how many messages of both kinds have arrived, twice a second."""
    import rclpy
    from std_msgs.msg import UInt8MultiArray

    from intradp_ros.nodes import qos
    rclpy.init()
    node = rclpy.create_node('reader')
    counts = {'tiles': 0, 'small': 0}

    def count(topic: str) -> None:
        counts[topic] += 1
    for topic in counts:
        node.create_subscription(UInt8MultiArray, topic, lambda _, topic=topic: count(topic),
                                 qos.tiles(True))
    node.create_timer(0.5, lambda: print(json.dumps(counts), flush=True))
    rclpy.spin(node)


class Writer:
    """Publishes for ever: `tiles_at_once` tiles with small messages between them, then a pause."""

    def __init__(self):
        import rclpy
        from std_msgs.msg import UInt8MultiArray

        from intradp_ros.nodes import qos
        rclpy.init()
        self.node = rclpy.create_node('writer')
        self.tiles_at_once = 1
        self._publishers = {topic: self.node.create_publisher(
            UInt8MultiArray, topic, qos.tiles(True)) for topic in ('tiles', 'small')}
        self._message = UInt8MultiArray
        for work in (self._burst, self._small):
            threading.Thread(target=self._repeat, args=(work,), daemon=True).start()

    def _repeat(self, work) -> None:
        while True:
            work()

    def _burst(self) -> None:
        for _ in range(self.tiles_at_once):
            self._publish('tiles', BYTES)
            if random.random() < 0.5:
                self._publish('small', random.randint(50, 4000))
        time.sleep(random.uniform(0.02, 0.25))

    def _small(self) -> None:
        self._publish('small', random.randint(50, 4000))
        time.sleep(random.uniform(0.005, 0.05))

    def _publish(self, topic: str, size: int) -> None:
        self._publishers[topic].publish(self._message(data=array.array('B', bytes(size))))


def heard(reader: subprocess.Popen) -> dict:
    """What a new reader had, once it had two tiles or `PATIENCE` was over."""
    begin = time.monotonic()
    while True:
        counts = json.loads(reader.stdout.readline())
        if counts['tiles'] > 1 or time.monotonic() > begin + PATIENCE:
            return counts


def write(kills: int) -> None:
    """Print for each of `kills` readers what it had, and kill it while tiles come in bursts."""
    writer = Writer()
    for _ in range(kills + 1):
        writer.tiles_at_once = 1
        reader = subprocess.Popen([sys.executable, __file__, '--role', 'read'], text=True,
                                  stdout=subprocess.PIPE)
        try:
            print(json.dumps(heard(reader)), flush=True)
            writer.tiles_at_once = 8
            time.sleep(random.uniform(0.5, 1.5))
            if random.random() < 0.5:  # as one that hung: what is sent to it piles up
                reader.send_signal(signal.SIGSTOP)
                time.sleep(random.uniform(0.0, 0.3))
        finally:
            reader.kill()
            reader.wait()
        writer.tiles_at_once = random.choice([1, 8])
        time.sleep(random.uniform(0, 3))


def start(kilobytes: int, kills: int, domain: int, folder: Path) -> subprocess.Popen:
    """Start a writer with so much shared memory."""
    environment = os.environ | {'ROS_DOMAIN_ID': str(domain),
                                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    environment.pop('FASTDDS_DEFAULT_PROFILES_FILE', None)
    if kilobytes != DEFAULT:
        profile = folder / f'{kilobytes}.xml'
        profile.write_text(re.sub(r'(?<=<segment_size>)\d+', str(kilobytes * 1024),
                                  SETTINGS.read_text()))
        environment['FASTDDS_DEFAULT_PROFILES_FILE'] = str(profile)
    return subprocess.Popen(
        [sys.executable, __file__, '--role', 'write', '--kills', str(kills)], env=environment,
        text=True, stdout=subprocess.PIPE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--kills', type=int, default=60)
    parser.add_argument('--kilobytes', type=int, nargs='+', default=[512, 8192])
    parser.add_argument('--domain', type=int, default=60, help='the first of them')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results')
    parser.add_argument('--role', choices=('read', 'write'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        (read if args.role == 'read' else lambda: write(args.kills))()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        writers = {size: start(size, args.kills, args.domain + n, Path(folder))
                   for n, size in enumerate(args.kilobytes)}
        rows = []
        for size, writer in writers.items():
            lines = tqdm(writer.stdout, f'{size} KB', total=args.kills + 1, unit='reader')
            after = [json.loads(line) for line in lines][1:]
            writer.wait()
            deaf = [c for c in after if c['tiles'] < 2]
            rows.append({'kilobytes': size, 'kills': len(after), 'deaf': len(deaf),
                         'small_messages_of_the_deaf': [c['small'] for c in deaf]})
            print(rows[-1], flush=True)
    commit = record.commit()
    lines = [f'A reader of reliable {BYTES}-byte messages is killed and started again on the same '
             f'host; deaf: not two of them within {PATIENCE:.0f} s. Written by bench/restarts.py '
             f'at commit {commit}.', '',
             '| shared memory of a participant | readers started again | deaf | small messages '
             'that the deaf had |', '|---|---|---|---|']
    lines += [f'| {r["kilobytes"]} KB | {r["kills"]} | {r["deaf"]} | '
              f'{", ".join(map(str, r["small_messages_of_the_deaf"])) or "-"} |' for r in rows]
    record.write(args.out / 'restarts', {'commit': commit, 'rows': rows},
                 '\n'.join(lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
