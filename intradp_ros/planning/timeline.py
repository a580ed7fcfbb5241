"""
One frame on four resources: a discrete-event simulation that every planner is judged by.

A frame is a set of tasks. A task occupies one resource without interruption: a processor for its
seconds, a link for its bytes. It becomes ready when all tasks that it comes after are done, and a
free resource takes the ready task with the least (priority, number). What is ready while the link
is busy is handed over meanwhile. What a link has sent is done half a round trip after it left. The
frame ends with the first of its `ends`.

Where the device's processor has to handle messages too (`Link.message_compute`, `message_idle`),
what it spends on them is no part of the tasks: it lengthens what is computed meanwhile, or else
next, and while it computes, messages get half of it.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from intradp_ros.errors import ParameterError
from intradp_ros.planning.link import Link
from intradp_ros.planning.profile import Power

Resource = Literal['device', 'uplink', 'edge', 'downlink']
RESOURCES: tuple[Resource, ...] = ('device', 'uplink', 'edge', 'downlink')


@dataclass(frozen=True)
class Task:
    """
    A piece of work: `seconds` of a processor, or `size` bytes on a link.

    `after` are the numbers of tasks (their places in the list). `label` is for pictures.
    """

    resource: Resource
    seconds: float = 0.0
    size: float = 0.0
    after: tuple[int, ...] = ()
    priority: int = 0
    label: str = ''


@dataclass(frozen=True)
class Span:
    """When a task ran: it held its resource from `begin` to `end`, and was done at `done`."""

    task: int
    begin: float
    end: float
    done: float


@dataclass(frozen=True)
class Timeline:
    """
    A simulated frame, cut off at its end.

    `latency` is in seconds from the frame's beginning; infinite when it cannot end (a dead link
    and nothing that finishes on the device). `spans` holds what began before that, in order of
    beginning.
    """

    tasks: tuple[Task, ...]
    spans: tuple[Span, ...]
    latency: float

    def busy(self, resource: Resource, since: float = 0.0) -> float:
        """Seconds that a resource worked before the frame ended, from a time of it on."""
        return sum(max(0.0, min(s.end, self.latency) - max(s.begin, since)) for s in self.spans
                   if self.tasks[s.task].resource == resource)

    def sent(self, resource: Resource) -> float:
        """Bytes that a link was given before the frame ended."""
        return sum(self.tasks[s.task].size for s in self.spans
                   if self.tasks[s.task].resource == resource)

    def energy(self, power: Power) -> float:
        """Joules that the device drew during the frame (see `Power`); infinite without an end."""
        if self.latency == float('inf'):
            return self.latency
        return (power.idle * self.latency
                + (power.compute - power.idle) * self.busy('device')
                + (power.send - power.idle) * self.busy('uplink')
                + (power.receive - power.idle) * self.busy('downlink'))


class Handling:
    """
    What the device's processor spends on messages.

    :param beside: seconds a message while the device computes: either finds the caches full of the
        other's code and data.
    :param idle: seconds a message while it does not.
    """

    def __init__(self, beside: float, idle: float):
        self._beside, self._idle = beside, idle
        self._owed = self._until = 0.0

    def owed(self, now: float) -> float:
        """Seconds by which messages until now delay what the device begins or would end now."""
        owed, self._owed = self._owed + max(0.0, self._until - now), 0.0
        self._until = now
        return owed

    def done(self, now: float, messages: float, idle: bool) -> float:
        """Tell when messages that are sent from now on have been handled."""
        if idle:
            self._until = max(self._until, now) + messages * self._idle
            return self._until
        seconds = messages * self._beside
        self._owed += seconds
        return now + 2 * seconds


def simulate(tasks: Sequence[Task], ends: Sequence[int], link: Link) -> Timeline:
    """
    Run tasks on the four resources.

    :param ends: the frame has ended when any of these tasks is done.
    :raises ParameterError: when a task comes after one that there is not or after itself, or when
        all has been done and no end reached: tasks wait for each other, or an end is not there.
    """
    followers: list[list[int]] = [[] for _ in tasks]
    missing = [len(set(task.after)) for task in tasks]
    for number, task in enumerate(tasks):
        for earlier in set(task.after):
            if not 0 <= earlier < len(tasks) or earlier == number:
                raise ParameterError(f'task {number} ({task.label}) comes after task {earlier} of '
                                     f'{len(tasks)}')
            followers[earlier].append(number)
    ready: dict[str, list[tuple[int, int]]] = {name: [] for name in RESOURCES}
    free = dict.fromkeys(RESOURCES, True)
    spans: list[Span] = []
    # (time, order, kind, task): order keeps what happens at one moment in the order it was found.
    events: list[tuple[float, int, bool, int]] = []
    finishing = set(ends)
    latency = float('inf')
    handling = Handling(link.message_compute, link.message_idle)
    since = [0.0] * len(tasks)  # when each became ready
    handed = 0.0  # until when the device is handing messages over

    def offer(number: int, now: float) -> None:
        since[number] = now
        heapq.heappush(ready[tasks[number].resource], (tasks[number].priority, number))

    def start(now: float) -> None:
        nonlocal handed
        for resource in RESOURCES:
            if not free[resource] or not ready[resource]:
                continue
            _, number = heapq.heappop(ready[resource])
            task = tasks[number]
            if resource == 'device':
                end = done = now + task.seconds + handling.owed(now)
            elif resource == 'edge':
                end = done = now + task.seconds
            elif resource == 'uplink':
                handed = max(handed, since[number])
                end = link.arrival(now, task.size, handed=handed)
                handed += link.handing(task.size)
                if link.message_compute:
                    end = max(end, handling.done(now, link.messages(task.size), free['device']))
                done = end + link.round_trip / 2
            else:
                end = link.arrival(now, task.size, upward=False)
                done = end + link.round_trip / 2
            free[resource] = False
            spans.append(Span(number, now, end, done))
            heapq.heappush(events, (end, len(spans), False, number))

    for number, count in enumerate(missing):
        if not count:
            offer(number, 0.0)
    start(0.0)
    while events:
        now = events[0][0]
        if now == float('inf'):
            break
        while events and events[0][0] == now:
            _, order, done, number = heapq.heappop(events)
            if not done:
                span, resource = spans[order - 1], tasks[number].resource
                if resource == 'device' and (owed := handling.owed(now)):
                    spans[order - 1] = replace(span, end=now + owed, done=now + owed)
                    heapq.heappush(events, (now + owed, order, False, number))
                    continue
                free[resource] = True
                heapq.heappush(events, (span.done, order, True, number))
                continue
            if number in finishing:
                latency = now
            for follower in followers[number]:
                missing[follower] -= 1
                if not missing[follower]:
                    offer(follower, now)
        if latency < float('inf'):
            break
        start(now)
    else:
        raise ParameterError(f'no end among {sorted(finishing)} of {len(tasks)} tasks is ever '
                             'done: they wait for each other')
    return Timeline(tuple(tasks), tuple(s for s in spans if s.begin < latency or not s.begin),
                    latency)
