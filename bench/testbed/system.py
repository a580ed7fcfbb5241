"""
The nodes in the bed: robots with a device node and a driver each, and one edge.

    with TestBed(rate=10e6) as bed, System(bed, folder, model, images) as system:
        system.set({'mode': 'offload'})
        recording, = system.watch(frames=100)
"""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from intradp_ros.nodes.processes import Processes, command
from testbed import bed as beds
from testbed import robot, usage
from testbed.shell import BedError

# Namespace of robot k.
ROBOT = '/robot{}'
SAMPLE_PERIOD = 10.0
# [INFO] [1763712345.678901234] [robot0.device_node]: active after 3.2 s
ACTIVE = re.compile(r'\[(\d+\.\d+)\] \[[^]]*\]: active after')
# What disturbs a run: a generator that yields the seconds until it wants to go on, and restores
# what it changed when it is closed.
Disturbance = Generator[float, None, None]


@dataclass
class Recording:
    """
    What was seen of one robot while it was watched.

    `events` are the driver's, those of the warm-up too. `used` and `crossed` belong to the time
    between begin and end: figures by process, and bytes (up, down) on the link. `samples` holds
    (time, figures by process) every ten seconds.
    """

    events: list[dict] = field(default_factory=list)
    used: dict[str, dict[str, float]] = field(default_factory=dict)
    crossed: tuple[int, int] = (0, 0)
    samples: list[tuple[float, dict[str, usage.Usage]]] = field(default_factory=list)


def join(recordings: Sequence[Recording]) -> Recording:
    """Put together what was seen of a robot at several times."""
    used: dict[str, dict[str, float]] = {}
    for recording in recordings:
        for name, figures in recording.used.items():
            before = used.get(name, {'cpu': 0.0, 'peak_memory': 0})
            used[name] = figures | {
                'cpu': before['cpu'] + figures['cpu'],
                'peak_memory': max(before['peak_memory'], figures['peak_memory'])}
    up, down = (sum(r.crossed[way] for r in recordings) for way in (0, 1))
    return Recording([event for r in recordings for event in r.events], used, (up, down),
                     [sample for r in recordings for sample in r.samples])


class System:
    """
    Starts everything and ends it again.

    :param model: parameters that device and edge share: model, weights ...
    :param images: .npy with the images that the cameras show, uint8 RGB (N, H, W, 3).
    :param device: parameters of the device node that cannot change while it is active.
    :param topology: 'split' (device on the robot, an edge node), 'alone' (no edge node), or
        'remote' (the device node itself on the edge machine, fed by a compressed image topic).
    :param servers: start parameter servers.
    :raises BedError: when the nodes do not find each other.
    """

    def __init__(self, bed: beds.TestBed, folder: Path, model: dict[str, object], images: Path,
                 device: dict[str, object] | None = None, topology: str = 'split',
                 servers: bool = False):
        self.bed, self.topology = bed, topology
        self._model, self._device = {'threads': 1} | model, device or {}
        self.images, self._servers = images, servers
        self._logs = folder
        self.processes = Processes(folder, beds.ENVIRONMENT)
        self.robots: list[robot.Robot] = []
        # Seconds of the monotonic clock: when a process was started, when all knew each other.
        self.started: dict[str, float] = {}
        self.matched = 0.0

    def __enter__(self) -> 'System':
        try:
            if self.topology == 'split':
                self.start_edge()
            for number in range(self.bed.count):
                self.start_device(number)
                if self._servers:
                    self.start_server(number)
                self.robots.append(robot.Robot(
                    [*self.bed.on_robot(number), *robot.command(
                        ROBOT.format(number), self.images, self.topology == 'remote')],
                    beds.ENVIRONMENT, self._logs / f'driver{number}.log'))
            for each in self.robots:
                each.until('ready', self.processes.check)
                each.tell('wait', edge=self.topology == 'split')
            self.matched = max(r.until('matched', self.processes.check)['t'] for r in self.robots)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for each in self.robots:
            each.close()
        self.processes.stop_all()

    # -- nodes ---------------------------------------------------------------------------------

    def start_edge(self) -> None:
        """Start the edge node."""
        self._start('edge', self.bed.on_edge(), 'edge_node', '/edge', 'edge.yaml', self._model)

    def start_device(self, number: int = 0) -> None:
        """Start a robot's device node (in topology 'remote' on the edge machine)."""
        remote = self.topology == 'remote'
        # Nothing is planned, nor a profile measured, until somebody sets a mode.
        extra = {'mode': 'local', 'image_transport': 'compressed'} if remote else \
            {'mode': 'offload'}
        self._start(f'device{number}', self.bed.on_edge() if remote else self.bed.on_robot(number),
                    'device_node', ROBOT.format(number), 'robot.yaml',
                    self._model | self._device | extra)

    def start_server(self, number: int = 0) -> None:
        """Start a robot's parameter server."""
        self._start(f'server{number}', self.bed.on_robot(number), 'parameter_server',
                    ROBOT.format(number), 'robot.yaml', {})

    def process(self, name: str) -> subprocess.Popen:
        """Give a running process: 'edge', 'device0', 'server0'."""
        return self.processes.running[name]

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self.processes.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _start(self, name: str, prefix: list[str], node: str, namespace: str, file: str,
               parameters: dict[str, object]) -> None:
        self.started[name] = time.monotonic()
        self.processes.start(name, command(node, namespace, file, parameters), prefix)

    def activations(self) -> dict[str, float]:
        """
        Read from the logs when device and edge nodes became active (seconds, monotonic clock).

        A node is active when its model is built and warm.
        """
        found = {}
        offset = time.time() - time.monotonic()
        for name in self.started:
            log = self.processes.log(name).read_text(errors='replace')
            if times := ACTIVE.findall(log):
                found[name] = float(times[-1]) - offset
        return found

    def usages(self) -> dict[str, usage.Usage]:
        """Read what each process has used so far."""
        found = {}
        drivers = {f'driver{k}': each.process for k, each in enumerate(self.robots)}
        for name, process in (self.processes.running | drivers).items():
            with suppress(OSError):
                found[name] = usage.read(process.pid)
        return found

    # -- runs ----------------------------------------------------------------------------------

    def set(self, parameters: dict[str, object], number: int = 0, node: str = 'device_node',
            ) -> None:
        """
        Set live parameters of a robot's node.

        :raises BedError: when it refuses.
        """
        self.robots[number].tell('set', node=node, parameters=parameters)
        refused = self.robots[number].until('set', self.processes.check)['refused']
        if refused:
            raise BedError(f'{node} of robot {number} refused {parameters}: {"; ".join(refused)}')

    def watch(self, disturbance: Disturbance | None = None,
              on_progress: Callable[[int], None] = lambda processed: None,
              robots: tuple[int, ...] | None = None, **options: object) -> list[Recording]:
        """
        Have the drivers watch (driver.py lists the options); give one recording a robot.

        :param disturbance: begins when all robots have begun.
        :param on_progress: told the frames that the first robot has processed.
        :raises BedError: when a driver fails.
        :raises ProcessError: when a process ends by itself.
        """
        watched = {k: self.robots[k] for k in robots or range(len(self.robots))}
        recordings = {k: Recording() for k in watched}
        before: dict[int, tuple[dict, tuple[int, int]]] = {}
        for each in watched.values():
            each.tell('watch', **options)
        first = next(iter(watched))
        open_ones, wake, sample, processed = set(watched), 0.0, 0.0, 0
        try:
            while open_ones:
                self.processes.check()
                now = time.monotonic()
                for k in list(open_ones):
                    if k not in before and watched[k].said('begin'):
                        before[k] = self.usages(), self.bed.links[k].bytes()
                    if watched[k].said('end'):
                        used, crossed = before.get(k, (self.usages(), self.bed.links[k].bytes()))
                        after, bytes_now = self.usages(), self.bed.links[k].bytes()
                        # One that was started again in between began at 0.
                        recordings[k].used = {
                            n: usage.difference(used[n], after[n]) for n in used
                            if n in after and after[n].cpu >= used[n].cpu}
                        recordings[k].crossed = (bytes_now[0] - crossed[0],
                                                 bytes_now[1] - crossed[1])
                        open_ones.discard(k)
                if now >= sample and len(before) == len(watched):
                    sample = now + SAMPLE_PERIOD
                    recordings[first].samples.append((now, self.usages()))
                if disturbance and now >= wake and len(before) == len(watched):
                    try:
                        wake = now + next(disturbance)
                    except StopIteration:
                        disturbance = None
                if watched[first].counts['report'] > processed:
                    processed = watched[first].counts['report']
                    on_progress(processed)
                time.sleep(0.01 if not disturbance else max(0, min(0.01, wake - now)))
        finally:
            if disturbance:
                disturbance.close()
        for k, recording in recordings.items():
            recording.events = watched[k].events
        return list(recordings.values())
