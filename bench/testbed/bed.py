"""The test bed as one context: it leaves nothing behind, and removes what a dead one left."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import cpu, memory, network, shell
from testbed.brake import Brake

PREFIX = 'intradp-bench'
ENVIRONMENT = {
    'FASTDDS_DEFAULT_PROFILES_FILE': str(Path(__file__).with_name('fastdds.xml')),
    'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
    'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
    'ROS_DOMAIN_ID': '68',
}
# Of a core's time, what a robot has unless a command says otherwise.
SHARE = 0.25


@dataclass(frozen=True)
class Processor:
    """
    What a side of the bed may compute with.

    `share` is the part of its cores' time that it may use (1.0 is one core; 0: no limit), `cores`
    are their numbers; one robot takes one of them, robot k the k-th. Where each robot has a core
    of its own the rest is taken away by a `Brake`, else, or where it is to be like beds in which
    robots share one (`shared`), by a control group's quota.
    """

    share: float
    cores: tuple[int, ...]
    shared: bool = False


def default_processors(robots: int = 1, share: float = SHARE) -> tuple[Processor, Processor]:
    """
    Choose cores for robots and edge that are not the same: the robots get the first, the edge the
    second, and on a larger machine the robots get a core each.

    :param share: of a core that a robot has; less where several have to share one.
    :raises BedError: on a machine with one core.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise shell.BedError('the test bed needs two cores: one for robots, one for the edge')
    cores = tuple(available[:max(1, min(robots, len(available) - 1))])
    together = -(-robots // len(cores))
    robot = share if together == 1 else min(share, 0.9 / together)
    return Processor(robot, cores), Processor(0, (available[len(cores)],))


def spare(available: Collection[int], robot: Sequence[int], edge: Sequence[int]) -> set[int]:
    """Choose cores for everything else: the edge's where there are no others."""
    return set(available) - {*robot, *edge} or set(edge)


class TestBed:
    """
    Robots and an edge, each in a network namespace, each robot with a link and a slow processor.

    :param rate: bytes a second of each link, each way.
    :param caches: folder for what nodes keep (profiles): the two sides are two machines, and
        have the same name.
    :raises BedError: when this machine cannot have it, with the cure.
    """

    __test__ = False  # no test, whatever pytest thinks of its name

    def __init__(self, robots: int = 1, rate: float = 10e6, robot: Processor | None = None,
                 edge: Processor | None = None, caches: Path | None = None):
        shell.require()
        default_robot, default_edge = default_processors(robots)
        self.robot, self.edge = robot or default_robot, edge or default_edge
        self.count, self._rate = robots, rate
        self._name = f'{PREFIX}-{os.getpid()}'
        self._caches = caches
        self.links: list[network.Link] = []
        self._brakes: list[Brake] = []

    def __enter__(self) -> 'TestBed':
        clean(dead_only=True)
        self._before = os.sched_getaffinity(0)
        try:
            # What changes links and listens must not take a slow robot's time: two calls of tc
            # every 0.1 s took a fifth of it.
            os.sched_setaffinity(0, spare(self._before, self.robot.cores, self.edge.cores))
            self._edge, self._robots, self.links = network.make(self._name, self.count)
            self._memories = {name: memory.make(name) for name in (self._edge, *self._robots)}
            for link in self.links:
                link.set_rate(self._rate)
            alone = self.count <= len(self.robot.cores) and not self.robot.shared
            self._groups = [cpu.make(f'{self._name}-robot{k}', self.robot.share)
                            if self.robot.share and not alone else None
                            for k in range(self.count)]
            if self.robot.share and alone:
                for core in self.robot.cores[:self.count]:
                    self._brakes.append(Brake(core, self.robot.share))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything; what still runs in the namespaces is killed."""
        os.sched_setaffinity(0, self._before)
        while self._brakes:
            self._brakes.pop().release()
        remove(self._name)

    def on_robot(self, number: int = 0) -> list[str]:
        """Give the words that make a command run on a robot."""
        group = self._groups[number]
        core = self.robot.cores[number % len(self.robot.cores)]
        return [*(joining(group) if group else ()), *self._within(self._robots[number], (core,)),
                *self._keeping('robot')]

    def on_edge(self) -> list[str]:
        """Give the words that make a command run on the edge."""
        return [*self._within(self._edge, self.edge.cores), *self._keeping('edge')]

    def _within(self, name: str, cores: Sequence[int]) -> list[str]:
        return [*within(name, cores), *memory.seeing(self._memories[name])]

    def _keeping(self, side: str) -> list[str]:
        return ['env', f'XDG_CACHE_HOME={self._caches / side}', f'TORCH_HOME={torch_home()}'] \
            if self._caches else []


def torch_home() -> Path:
    """Say where torch keeps weights that it has downloaded: both sides may share these."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get('TORCH_HOME') or Path(cache) / 'torch')


def within(namespace: str, cores: Sequence[int]) -> list[str]:
    """Give the words that make a command run in a namespace on some cores."""
    # Not "ip netns exec": it hides /sys/fs/cgroup, where nodes read how much processor they have.
    return ['nsenter', f'--net=/var/run/netns/{namespace}', 'taskset', '-c',
            ','.join(map(str, cores))]


def joining(group: Path) -> list[str]:
    """Give the words that make a command join a control group first."""
    return ['sh', '-c', 'echo $$ > "$0" && exec "$@"', str(group)]


def clean(dead_only: bool = True) -> None:
    """Remove what beds have left whose process is gone (or all of them)."""
    found = [*network.names(PREFIX), *(path.name for path in cpu.names(PREFIX)),
             *(path.name for path in memory.names(PREFIX))]
    owners = {int(match[1]) for name in found if (match := re.match(rf'{PREFIX}-(\d+)-', name))}
    for owner in sorted(owners):
        if not (dead_only and Path(f'/proc/{owner}').exists()):
            remove(f'{PREFIX}-{owner}')


def remove(name: str) -> None:
    """Remove all that a bed has made."""
    network.remove(name)
    cpu.remove(name)
    memory.remove(name)
