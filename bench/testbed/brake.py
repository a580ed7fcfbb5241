"""
A slow processor: a real-time process that takes a fixed part of every millisecond of a core.

A control group's quota is charged at the ticks of the kernel's clock. With 250 of them a second a
quarter of a core, in periods of 5 ms, is 4 ms at full speed and 11 ms of nothing (medians, of a
loop that reads the clock): then each message between two threads may wait for 11 ms, which no slow
processor does to them. Here what runs on the core has 0.24 ms of each millisecond, as if its clock
were gated.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from testbed.shell import BedError

PERIOD = 1e-3


class Brake:
    """
    Leaves only `share` of a core's time to all others, until it is released.

    :raises BedError: when the machine allows no real-time process.
    """

    def __init__(self, core: int, share: float):
        above = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'testbed.brake', str(core), str(share)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {
                'PYTHONPATH': os.pathsep.join([above, os.environ.get('PYTHONPATH', '')])})
        assert self._process.stdout
        if not self._process.stdout.readline():
            raise BedError('no real-time process may run here, which a slow robot is made with: '
                           + self._process.communicate()[1].strip()[-300:])

    def release(self) -> None:
        """Give the core back."""
        self._process.kill()
        self._process.communicate()


def slow_down(core: int, share: float) -> None:
    """Take what is left of each period beyond a share of it, as long as the parent lives."""
    parent = os.getppid()
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print('at work', flush=True)
    begin = time.perf_counter()
    while os.getppid() == parent:
        while time.perf_counter() < begin + (1 - share) * PERIOD:
            pass
        begin += PERIOD
        left = begin - time.perf_counter()
        if left > 0:
            time.sleep(left)
        else:  # was held up, as by a hypervisor
            begin = time.perf_counter()


if __name__ == '__main__':
    slow_down(int(sys.argv[1]), float(sys.argv[2]))
