"""Several robots on several workers: each frame exact, and everybody's turn comes."""

import threading
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from links import frame_of

from intradp_ros.runtime.edge import EdgeOutlets, EdgeSession

FRAMES = 5  # of each robot


class Robots:
    """Robots that send a frame as soon as the one before is answered; each sees another image."""

    def __init__(self, detector, images, workers):
        self.images, self.found = images, []
        self._detector, self._enough = detector, threading.Event()
        self.warnings: list[str] = []
        self.session = EdgeSession(detector, EdgeOutlets(
            lambda name, ack: None, self._on_result, self.warnings.append), time.monotonic,
            workers)
        self._tiles = {name: frame_of(detector, image) for name, image in images.items()}

    def send(self, name, number):
        for tile in self._tiles[name]:
            self.session.on_tile(name, replace(tile, frame=number))

    def _on_result(self, name, stamp, found):
        """On the worker's thread: the next frame is there before it looks for work again."""
        self.found.append((name, found))
        answered = Counter(n for n, _ in self.found)
        if max(answered.values()) == FRAMES:
            self._enough.set()
        else:
            self.send(name, answered[name])

    def run(self):
        """Let them all begin, until one of them has had all of its frames."""
        with self.session._turn:
            for name in self.images:
                self.send(name, 0)
        assert self._enough.wait(120)
        self.session.close()


@pytest.mark.parametrize('workers', [1, 2, 5])
@pytest.mark.parametrize('robots', [2, 3])
def test_frames_are_exact_and_turns_are_fair(detector, photograph, workers, robots):
    images = {f'/robot{i}': np.ascontiguousarray(np.roll(photograph, 40 * i, 1))
              for i in range(robots)}
    running = Robots(detector, images, workers)
    running.run()
    assert not running.warnings
    expected = {name: detector.detect(image) for name, image in images.items()}
    for name, found in running.found:
        assert not found.differs(expected[name]), name
    # Nobody is served twice while somebody waits: at most one frame ahead, and one in work.
    answered = Counter(name for name, _ in running.found)
    assert min(answered[name] for name in images) >= FRAMES - 2, answered


def test_a_robot_is_in_the_hands_of_one_worker(detector, photograph):
    """Several frames of one robot at once would be late for each other."""
    running = Robots(detector, {'/alone': photograph}, 4)
    running.run()
    assert len(running.found) == FRAMES and not running.warnings
