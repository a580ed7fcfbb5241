"""The harness's end of one robot's driver: tells it what to do, hears what it says."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from testbed.shell import BedError

PATIENCE = 300.0


class Robot:
    """
    A running driver.

    :param line: the command that starts it.
    """

    def __init__(self, line: list[str], environment: dict[str, str], log: Path):
        self.events: list[dict] = []
        self.counts: Counter[str] = Counter()
        self._first: dict[str, dict] = {}
        self._log = log
        with log.open('ab') as errors:
            self.process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=os.environ | environment, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            self.counts[event['event']] += 1
            self._first.setdefault(event['event'], event)

    def tell(self, command: str, **options: object) -> None:
        """Give a command; what it says from now on is its answer."""
        self.events, self.counts, self._first = [], Counter(), {}
        self.process.stdin.write(json.dumps({'command': command} | options) + '\n')
        self.process.stdin.flush()

    def said(self, event: str) -> dict | None:
        """
        Find the first event of a kind since the last command.

        :raises BedError: when the driver failed or ended.
        """
        if event in self._first:
            return self._first[event]
        if 'failed' in self._first:
            raise BedError(self._first['failed']['reason'])
        if self.process.poll() is not None:
            raise BedError(f'the driver ended with code {self.process.returncode}: {self._log}')
        return None

    def until(self, event: str, check: Callable[[], None] = lambda: None) -> dict:
        """Wait for an event; raises BedError when it does not come."""
        give_up = time.monotonic() + PATIENCE
        while (found := self.said(event)) is None:
            check()
            if time.monotonic() > give_up:
                raise BedError(f'no {event!r} from the driver within {PATIENCE:.0f} s')
            time.sleep(0.01)
        return found

    def close(self) -> None:
        """End the driver."""
        with suppress(BrokenPipeError):  # it is gone already
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()


def command(namespace: str, images: Path, compressed: bool) -> list[str]:
    """Build the command line of a driver."""
    return [sys.executable, str(Path(__file__).with_name('driver.py')), '--namespace', namespace,
            '--images', str(images), *(['--compressed'] if compressed else [])]
