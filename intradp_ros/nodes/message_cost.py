"""
What a tile message costs: to hand it to the middleware, and of the processor in all.

`python -m intradp_ros.nodes.message_cost` is the reader: it ends when its standard input does.
"""

import itertools
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from intradp_ros.model.detector import Detector
from intradp_ros.msg import Tile as TileMessage
from intradp_ros.msg import TileAck
from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.receiver import Apart, Receiver
from intradp_ros.planning.measure import model_input, torch_threads
from intradp_ros.planning.profile import Profile
from intradp_ros.runtime import processor
from intradp_ros.runtime.flow import ACK_PERIOD
from intradp_ros.runtime.job import Job
from intradp_ros.runtime.sender import Sender
from intradp_ros.runtime.wire import Ack, AckState, CameraFrame, Report, Stamp, Tile
from intradp_ros.tiling.engine import Engine

TOPIC, ACKS = '/intradp_profile/tiles', '/intradp_profile/acks'
# Messages come in bursts, as those of a frame do; then the reader has some seconds to drain them.
BURST, PAUSE = 4, 0.02
# Messages that do not count.
COLD = 8
# Seconds after which no reader is expected any more.
TIMEOUT = 60.0
# The window of the frame that they are sent as, which shall never close, and its deadline.
WINDOW, DEADLINE_MS = 10**9, 3.6e6
# How inference is measured with messages and without, in turns: a message each so many times as
# long as it takes itself, at least so many of them; and for about so many seconds.
SPARSENESS, LEAST_MESSAGES, ROUNDS, DURATION = 4.0, 8, 7, 15.0


def with_messages(profile: Profile, image: np.ndarray, detector: Detector | None = None,
                  device: str = 'cpu') -> Profile:
    """
    Add to a profile what messages cost here (some seconds).

    :param image, detector, device: as for `measure.measure`, which made the profile.
    """
    with _reader() as publish:
        if publish is None:
            return replace(profile, note='cost of a message taken as 0: none came through in '
                                         f'{TIMEOUT:.0f} s')
        publishing, handling = message_seconds(publish)
        if not processor.is_shared():
            return replace(profile, message_seconds=publishing)
        engine = Engine(profile.graph, device)
        pixels = model_input(profile.graph.tensors[profile.graph.input], image, detector)
        with torch_threads(profile.threads):
            slow = slowness(lambda: engine.run(pixels))
            beside = seconds_of_inference(publish, lambda: engine.run(pixels), handling, slow)
    return replace(profile, message_seconds=publishing,
                   message_compute=max(beside, handling) * slow, message_idle=handling * slow)


class Line:
    """
    Has a session's sender thread send messages one by one, as it does those of a frame: what it
    takes to choose a message, to note it and to take its acknowledgement is part of its cost, and
    was nearly half of it on a quarter of a core.

    :param publish: hands a tile to the middleware.
    :param size: bytes of data in a message.
    """

    def __init__(self, publish: Callable[[Tile], None], size: int):
        stamp, image = Stamp(0, 0, 'camera'), np.zeros((1, 1, 3), np.uint8)
        self._publish = publish
        self._tile = Tile(stamp, 'message_cost', 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, bytes(size))
        self._indices = itertools.count()
        self._waiting: deque[Tile] = deque()
        self._taken = threading.Semaphore(0)
        self._newest, self._seconds = -1, 0.0
        self._error: Exception | None = None
        self._sender = Sender(self._hand_over, time.monotonic, self._failed)
        frame = CameraFrame(stamp, time.monotonic(), 0.0, lambda: image)
        self._sender.begin(Job(frame, image, Report(stamp, 0, 0, deadline_ms=DEADLINE_MS)),
                           self._supply, size, WINDOW, reliable=True)

    def send(self) -> float:
        """
        Send a message.

        :returns: seconds of conversion and publish().
        :raises Exception: what publish() raised.
        """
        self._waiting.append(replace(self._tile, index=next(self._indices)))
        self._sender.wake()
        if not self._taken.acquire(timeout=TIMEOUT):
            raise TimeoutError(f'the middleware took no message in {TIMEOUT:.0f} s')
        if self._error:
            raise self._error
        return self._seconds

    def on_ack(self, message: TileAck) -> None:
        """Take an acknowledgement."""
        self._sender.on_ack(conversions.ack_from_message(message))

    def close(self) -> None:
        """End the sender thread."""
        self._sender.close()

    def _supply(self) -> tuple[Sequence[Tile], bool] | None:
        return ([self._waiting.popleft()], True) if self._waiting else None

    def _failed(self, error: Exception) -> None:
        self._error = error
        self._taken.release()

    def _hand_over(self, tile: Tile) -> None:
        begin = time.perf_counter()
        self._publish(tile)
        if tile.index > self._newest:  # or its acknowledgement was lost, and it goes again
            self._newest, self._seconds = tile.index, time.perf_counter() - begin
            self._taken.release()


def message_seconds(publish: Callable[[], float], count: int = 48) -> tuple[float, float]:
    """
    Measure messages while nothing else is done.

    :param publish: sends one; gives the seconds of conversion and publish().
    :returns: these, the median; processor seconds of this process, acknowledgement included, the
        mean.
    """
    times, used = [], 0.0
    for number in range(-COLD, count):
        if number == 0:
            # The first ones meet cold code and buffers that have yet to grow.
            times, used = [], time.process_time()
        times.append(publish())
        if number % BURST == BURST - 1:
            time.sleep(PAUSE)
    return statistics.median(times), (time.process_time() - used) / count


def slowness(infer: Callable[[], object]) -> float:
    """
    Give the seconds that a processor second takes here: more than one where a quota, a hypervisor
    or whoever has priority takes the core away.
    """
    infer()
    begin, used = time.perf_counter(), time.process_time()
    for _ in range(ROUNDS):
        infer()
    return max(1.0, (time.perf_counter() - begin) / max(1e-9, time.process_time() - used))


def seconds_of_inference(publish: Callable[[], object], infer: Callable[[], object],
                         alone: float, slow: float) -> float:
    """
    Measure by how many processor seconds a message makes inference beside it dearer.

    It is more than the message takes by itself: either finds its code and data gone from the
    caches. What other processes take of the same core is not counted.

    :param publish: sends a message.
    :param alone: processor seconds of a message by itself.
    :param slow: seconds that a processor second takes.
    """
    pause = SPARSENESS * alone * slow
    begin = time.perf_counter()
    infer()
    times = max(1, round(LEAST_MESSAGES * pause / (time.perf_counter() - begin) + 0.5))
    found: list[float] = []
    while not found or len(found) < ROUNDS and time.perf_counter() < begin + DURATION:
        quiet, _ = _used(infer, times, lambda: None, pause)
        busy, sent = _used(infer, times, publish, pause)
        found.append((busy - quiet) / sent)
    return statistics.median(found)


def _used(infer: Callable[[], object], times: int, act: Callable[[], object], pause: float
          ) -> tuple[float, int]:
    """Give processor seconds of inference while another thread acts, and how often it did."""
    ended, acted = threading.Event(), 0

    def act_on() -> None:
        nonlocal acted
        while not (acted and ended.is_set()):
            act()
            acted += 1
            ended.wait(pause)
    used = time.process_time()
    thread = threading.Thread(target=act_on)
    thread.start()
    for _ in range(times):
        infer()
    ended.set()
    thread.join()
    time.sleep(PAUSE)  # the last acknowledgement
    return time.process_time() - used, acted


@contextmanager
def _reader(size: int = 60_000) -> Iterator[Callable[[], float] | None]:
    """
    Have a reader that acknowledges Tile messages, and give what sends one as the device node does
    (and says how long conversion and publish() took); None when no reader is found in time.

    The reader is a process of its own: within one, Fast DDS hands bytes over without a transport.

    :param size: bytes of data in a message, at most what Tile.msg allows.
    """
    context = Context()
    rclpy.init(context=context, args=[])
    reader = subprocess.Popen([sys.executable, '-m', __name__], stdin=subprocess.PIPE)
    try:
        node = rclpy.create_node('message_cost', context=context)
        publisher = node.create_publisher(TileMessage, TOPIC, qos.tiles(True))
        with closing(Line(lambda tile: publisher.publish(conversions.message_from_tile(tile)),
                          size)) as line:
            acks = node.create_subscription(
                TileAck, ACKS, lambda message, info: line.on_ack(message), qos.ACKS,
                callback_group=Apart())
            until = time.monotonic() + TIMEOUT
            while not publisher.get_subscription_count():
                if time.monotonic() > until or reader.poll() is not None:
                    yield None
                    return
                time.sleep(0.02)
            with closing(Receiver(node, [acks], lambda error: None)):
                yield line.send
    finally:
        reader.stdin.close()
        try:
            reader.wait(5)
        except subprocess.TimeoutExpired:
            reader.kill()
            reader.wait()
        # Takes the node along.
        context.try_shutdown()


def read() -> None:
    """Acknowledge messages until standard input ends."""
    context = Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node('message_cost_reader', context=context)
    acks = node.create_publisher(TileAck, ACKS, qos.ACKS)
    begun = acked = time.monotonic()
    owed: TileMessage | None = None

    def take(message: TileMessage) -> None:
        nonlocal owed
        owed = message
    node.create_subscription(TileMessage, TOPIC, take, qos.tiles(True))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    try:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1 if owed is None else ACK_PERIOD)
            now = time.monotonic()
            if owed is not None and now >= acked + ACK_PERIOD:  # as often as the edge does
                count = owed.index + 1
                acks.publish(conversions.message_from_ack(Ack(
                    0, 0, count, 0, count, count * len(owed.data), AckState.RECEIVING,
                    receive_ms=(now - begun) * 1e3)))
                acked, owed = now, None
    except KeyboardInterrupt:
        pass  # Ctrl-C goes to whoever measures, too, and that one says so.
    context.try_shutdown()


if __name__ == '__main__':
    read()
