"""What goes wrong with links, edges and robots, on purpose."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
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


def flood(bed: TestBed, number: int, model: dict[str, object]) -> subprocess.Popen:
    """Start a flood of tiles from a robot's namespace; end it with SIGINT."""
    identity = bench_model.build(model).identity
    script = Path(__file__).with_name('testbed') / 'flood.py'
    return subprocess.Popen(
        ['env', *(f'{k}={v}' for k, v in ENVIRONMENT.items()), *bed.on_robot(number),
         sys.executable, str(script), '--namespace', ROBOT.format(number), '--model', identity],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
