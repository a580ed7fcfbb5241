"""What goes wrong with links, edges and robots, on purpose."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bench_model
import traces
from testbed.bed import ENVIRONMENT, TestBed
from testbed.network import Link
from testbed.system import ROBOT, Disturbance


def again(act: Callable[[], None], undo: Callable[[], None], hold: float,
          acted: list[float], undone: list[float], pause: tuple[float, float]) -> Disturbance:
    """Act at random moments, undo after `hold` seconds, note when; leaves it undone."""
    active = False
    try:
        while True:
            yield random.uniform(*pause)
            active = True
            act()
            acted.append(time.monotonic())
            yield hold
            undo()
            undone.append(time.monotonic())
            active = False
    finally:
        if active:
            undo()


def follow(link: Link, trace: traces.Trace) -> Disturbance:
    """Have a link follow a trace, without falling behind; leaves it up."""
    begin, passed, up = time.monotonic(), 0.0, True
    try:
        for hold, rate in traces.steps(trace):
            if rate > 0:
                link.set_rate(rate)
            if (rate > 0) != up:
                up = rate > 0
                link.set_up(up)
            passed += hold
            yield max(0.0, begin + passed - time.monotonic())
    finally:
        if not up:
            link.set_up(True)


@contextmanager
def flood(bed: TestBed, number: int, model: dict[str, object], rate: float,
          aside: bool = False) -> Iterator[None]:
    """
    Have a robot publish nonsense as tiles.

    :param rate: tiles of 50 kB a second.
    :param aside: nothing of it reaches the link or the edge: a process on the same robot takes it.
        Robots that share a core with the mad one are disturbed all the same.
    """
    identity = bench_model.build(model).identity
    line = [*bed.on_robot(number), sys.executable,
            str(Path(__file__).with_name('testbed') / 'flood.py'),
            '--namespace', ROBOT.format(number), '--model', identity, '--rate', f'{rate:g}']
    # In a domain of their own nobody else hears them.
    environment = ENVIRONMENT | ({'ROS_DOMAIN_ID': '69'} if aside else {})
    running = [subprocess.Popen(['env', *(f'{k}={v}' for k, v in environment.items()), *each],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for each in ([line, [*line, '--sink']] if aside else [line])]
    try:
        yield
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            process.wait()
