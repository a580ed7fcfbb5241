"""The timeline against schedules worked out by hand, and the link against an integral."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.errors import ParameterError
from intradp_ros.planning.link import Link
from intradp_ros.planning.profile import Power
from intradp_ros.planning.timeline import Task, simulate

FREE = Link(1e12)
INFINITE = float('inf')


def spans(timeline):
    """When each task ran, by label."""
    return {timeline.tasks[s.task].label: (s.begin, s.end) for s in timeline.spans}


def test_a_free_resource_takes_the_least_priority_then_the_first():
    tasks = [Task('device', 1, label='a', priority=5),
             Task('device', 2, label='b', priority=5),
             Task('device', 4, label='c', priority=1),
             Task('edge', 1.5, label='d'),
             Task('device', 8, label='e', after=(3,), priority=0),
             Task('device', 0, label='end', after=(0, 1, 2, 4))]
    frame = simulate(tasks, [5], FREE)
    # c goes first; e is not ready until 1.5, when c is running, and then overtakes a and b.
    assert spans(frame) == {'c': (0, 4), 'd': (0, 1.5), 'e': (4, 12), 'a': (12, 13),
                            'b': (13, 15)}
    assert frame.latency == 15
    assert frame.busy('device') == 15 and frame.busy('edge') == 1.5


def test_nothing_is_interrupted():
    tasks = [Task('device', 10, priority=9), Task('edge', 1),
             Task('device', 1, after=(1,), priority=0)]
    assert simulate(tasks, [2], FREE).latency == 11


def test_the_link_is_full_duplex_and_each_way_is_first_come_first_served():
    link = Link(100, down=50)
    tasks = [Task('uplink', size=100, label='up 1'), Task('uplink', size=200, label='up 2'),
             Task('downlink', size=100, label='down 1'), Task('downlink', size=50, label='down 2'),
             Task('edge', 0.5, after=(1, 3), label='end')]
    frame = simulate(tasks, [4], link)
    assert spans(frame) == {'up 1': (0, 1), 'up 2': (1, 3), 'down 1': (0, 2), 'down 2': (2, 3),
                            'end': (3, 3.5)}
    assert frame.sent('uplink') == 300 and frame.sent('downlink') == 150


def test_half_a_round_trip_passes_after_the_link_is_free_again():
    link = Link(100, round_trip=0.4)
    tasks = [Task('uplink', size=100), Task('uplink', size=100),
             Task('edge', 1, after=(0,)), Task('edge', 1, after=(1,)),
             Task('downlink', size=10, after=(3,))]
    frame = simulate(tasks, [4], link)
    # Bytes leave in [0, 1) and [1, 2), arrive at 1.2 and 2.2; the edge works on until 3.2.
    assert [s.begin for s in frame.spans] == pytest.approx([0, 1, 1.2, 2.2, 3.2])
    assert [s.done for s in frame.spans] == pytest.approx([1.2, 2.2, 2.2, 3.2, 3.5])
    assert frame.latency == pytest.approx(3.5)


def test_every_message_has_its_cost_and_every_byte_its_header():
    link = Link(1000, message_seconds=0.01, message_bytes=100, overhead=1.5)
    tasks = [Task('uplink', size=250), Task('uplink', size=0), Task('uplink', size=100)]
    frame = simulate(tasks + [Task('edge', after=(0, 1, 2))], [3], link)
    # 3 messages and 375 bytes; nothing; 1 message and 150 bytes. Only the first one's cost shows.
    assert [s.end for s in frame.spans[:3]] == pytest.approx([0.385, 0.385, 0.535])


def test_a_message_is_handed_over_while_the_one_before_it_is_on_its_way():
    """As on the test bed: six messages take what the link takes, and the first one's hand-over."""
    def end(seconds, *ready):
        link = Link(1000, message_seconds=seconds, message_bytes=100)
        tasks = [Task('device', second) for second in ready]
        tasks += [Task('uplink', size=200, after=(k,)) for k in range(len(ready))]
        return simulate([*tasks, Task('edge', after=tuple(range(len(ready), len(tasks))))],
                        [len(tasks)], link).latency
    assert end(0.01, 1.0) == pytest.approx(1.21)
    assert end(0.01, 1.0, 0.0) == pytest.approx(1.41), 'the second was ready in time'
    assert end(0.01, 1.0, 0.5) == pytest.approx(1.71), 'the link waited for it'
    # A sender that is slower than the link.
    assert end(0.3, 1.0) == pytest.approx(1.7)
    assert end(0.3, 1.0, 0.0) == pytest.approx(2.3)


def test_a_trace_with_an_outage():
    link = Link(0, steps=((0, 100), (2, 0), (5, 50)))
    tasks = [Task('uplink', size=150), Task('uplink', size=100), Task('edge', 1, after=(1,))]
    frame = simulate(tasks, [2], link)
    # 50 of the second task's bytes leave by 2, the others from 5 on.
    assert [s.end for s in frame.spans] == pytest.approx([1.5, 6, 7])


def test_a_trace_that_ends_in_silence_has_no_end_unless_the_device_makes_one():
    link = Link(0, round_trip=0.1, steps=((0, 100), (1, 0)))
    tasks = [Task('uplink', size=50), Task('uplink', size=100), Task('edge', 1, after=(0, 1)),
             Task('device', 7, priority=9)]
    frame = simulate(tasks, [2], link)
    assert frame.latency == INFINITE and frame.energy(Power()) == INFINITE
    hedged = simulate(tasks, [2, 3], link)
    assert hedged.latency == 7
    # The link is on until the frame ends although nothing comes through.
    assert hedged.busy('uplink') == 7 and hedged.sent('uplink') == 150


@pytest.mark.parametrize('edge, latency', [(3.0, 4.0), (9.0, 6.0)])
def test_the_first_of_two_ends_ends_the_frame(edge, latency):
    tasks = [Task('uplink', size=100), Task('edge', edge, after=(0,)),
             Task('device', 2), Task('device', 4, after=(2,)), Task('device', 5, after=(3,))]
    frame = simulate(tasks, [1, 3], Link(100))
    assert frame.latency == latency
    # What would have come later is cut off: the device worked all the time, no longer.
    assert frame.busy('device') == latency
    assert all(s.begin < latency for s in frame.spans)


def test_energy_is_idle_and_what_each_activity_draws_above_it():
    power = Power(idle=5, compute=12, send=7, receive=6)
    tasks = [Task('device', 2), Task('uplink', size=300, after=(0,)), Task('device', 1),
             Task('edge', 4, after=(1,)), Task('downlink', size=50, after=(3,))]
    frame = simulate(tasks, [4], Link(100))
    # 3 s of computing, 3 of sending (1 of them while computing), 4 of waiting, 0.5 of receiving.
    assert frame.latency == 9.5
    assert frame.energy(power) == pytest.approx(9.5 * 5 + 3 * 7 + 3 * 2 + 0.5 * 1)


@pytest.mark.parametrize('tasks', [
    [Task('device', 1, after=(0,))],
    [Task('device', 1), Task('device', 1, after=(2,))],
    [Task('device', 1), Task('device', 1, after=(-1,))],
    [Task('device', 1, after=(1,)), Task('edge', 1, after=(0,))],
], ids=['itself', 'nobody', 'negative', 'each other'])
def test_tasks_that_can_never_run_are_an_error(tasks):
    with pytest.raises(ParameterError, match='task'):
        simulate(tasks, [0], FREE)


def test_an_end_that_there_is_not_is_an_error():
    with pytest.raises(ParameterError, match='end'):
        simulate([Task('device', 1)], [1], FREE)


@st.composite
def frames(draw):
    """Draw tasks that come after earlier ones only, so that all can run."""
    tasks = []
    for number in range(draw(st.integers(1, 12))):
        resource = draw(st.sampled_from(['device', 'uplink', 'edge', 'downlink']))
        after = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        amount = draw(st.integers(0, 8))
        work = {'seconds' if resource in ('device', 'edge') else 'size': amount}
        tasks.append(Task(resource, after=tuple(after), priority=draw(st.integers(0, 2)), **work))
    return tasks


@given(frames(), st.sampled_from([1, 2, 4]), st.sampled_from([0, 1, 3]))
def test_what_holds_for_any_frame(tasks, bandwidth, round_trip):
    link = Link(bandwidth, round_trip)
    # An end after everything else: all tasks run.
    tasks.append(Task('edge', after=tuple(range(len(tasks)))))
    frame = simulate(tasks, [len(tasks) - 1], link)
    done = {s.task: s for s in frame.spans}
    longest = dict.fromkeys(range(len(tasks)), 0.0)
    for number, task in enumerate(tasks[:-1]):
        seconds = task.seconds + task.size / bandwidth
        lag = round_trip / 2 if task.resource in ('uplink', 'downlink') else 0
        longest[number] = seconds + lag + max([longest[a] for a in task.after], default=0)
        if number in done:
            span = done[number]
            assert span.end - span.begin == seconds and span.done - span.end == lag
            assert all(done[a].done <= span.begin for a in task.after)
    for resource in ('device', 'uplink', 'edge', 'downlink'):
        mine = sorted((s.begin, s.end) for n, s in done.items() if tasks[n].resource == resource)
        assert all(a[1] <= b[0] for a, b in zip(mine, mine[1:]))
        assert frame.latency >= sum(b - a for a, b in mine)
    assert frame.latency >= max(longest.values())
    # No resource idles while something is ready for it.
    for number, span in done.items():
        ready = max([done[a].done for a in tasks[number].after], default=0)
        same = [s for n, s in done.items() if tasks[n].resource == tasks[number].resource]
        assert span.begin == ready or any(s.end == span.begin for s in same)


def test_messages_that_need_the_devices_core_delay_what_it_computes():
    link = Link(1000.0, message_bytes=1000, message_compute=0.5, message_idle=0.4)
    tasks = [Task('device', 2, label='first'),
             Task('uplink', size=2000, label='send'),  # 2 s on the link, 1 s of the core
             Task('device', 3, after=(0,), label='second'),
             Task('uplink', size=1000, after=(2,), label='alone')]
    found = spans(simulate(tasks, [3], link))
    # Two messages while the device is busy: half of the core, 2 s, as long as the link takes;
    # one while it is not: 0.4 s, less than the link takes.
    assert found == {'first': (0, 3), 'send': (0, 2), 'second': (3, 6), 'alone': (6, 7)}


def test_messages_delay_the_last_thing_that_the_device_computes():
    """Raw rows that are sent beside the one band of a split are not free."""
    link = Link(1000.0, message_bytes=1000, message_compute=0.5, message_idle=0.4)
    tasks = [Task('device', 2, label='band'), Task('uplink', size=1000, label='raw'),
             Task('uplink', size=500, after=(0,), label='band up')]
    found = spans(simulate(tasks, [2], link))
    assert found == {'band': (0, 2.5), 'raw': (0, 1), 'band up': (2.5, 3.0)}


def test_messages_are_no_faster_than_the_core_handles_them():
    link = Link(1e9, message_bytes=1000, message_compute=0.5, message_idle=0.4)
    busy = simulate([Task('device', 9), Task('uplink', size=3000)], [1], link)
    idle = simulate([Task('uplink', size=3000), Task('device', 1, after=(0,))], [0], link)
    assert (busy.latency, idle.latency) == (3.0, pytest.approx(1.2))


def test_more_bandwidth_can_make_a_frame_later():
    """
    Graham's anomaly (1969): who is ready earlier may take a resource and not give it back.

    It needs a low-priority task that a link feeds and a high-priority one that comes later. The
    streamed ways of ways.py have none (test_ways.py); `meeting` chooses its tasks by the link, and
    a band that it gives to a faster link may turn out the last to arrive.
    """
    def latency(bandwidth):
        tasks = [Task('uplink', size=4), Task('edge', 10, after=(0,), priority=9),
                 Task('device', 3), Task('edge', 1, after=(2,), priority=0),
                 Task('device', 5, after=(3,)), Task('edge', 0, after=(1, 4))]
        return simulate(tasks, [5], Link(bandwidth)).latency
    assert latency(1) == 14 and latency(2) == 18


def integral(link, begin, end):
    """Bytes that a trace carries from `begin` to `end`."""
    edges = [*(t for t, _ in link.steps), INFINITE]
    first = link.steps[0]
    total = first[1] * max(0.0, min(end, first[0]) - begin)
    for (start, rate), stop in zip(link.steps, edges[1:]):
        total += rate * max(0.0, min(end, stop) - max(begin, start))
    return total


steps = st.lists(st.tuples(st.floats(0.01, 5), st.sampled_from([0, 0.5, 3, 10, 40])),
                 min_size=1, max_size=6)


@given(steps, st.floats(0, 20), st.floats(0.01, 300), st.sampled_from([1.0, 1.25]))
def test_a_trace_carries_just_what_is_sent(gaps, begin, size, overhead):
    time, trace = 0.0, []
    for gap, rate in gaps:
        time += gap
        trace.append((time, rate))
    link = Link(0, steps=tuple(trace), overhead=overhead)
    end = link.arrival(begin, size)
    if end == INFINITE:
        assert trace[-1][1] == 0 and integral(link, begin, 1e6) < size * overhead
    else:
        assert integral(link, begin, end) == pytest.approx(size * overhead, rel=1e-6, abs=1e-6)
        # and not later than that: just before, less had left.
        assert integral(link, begin, end - 1e-4) < size * overhead


@given(st.floats(1, 1e6), st.floats(0, 10), st.floats(0, 1e6))
def test_a_trace_of_one_rate_is_that_bandwidth(bandwidth, begin, size):
    plain = Link(bandwidth, message_seconds=1e-3, message_bytes=1000)
    trace = dataclasses.replace(plain, steps=((0, bandwidth), (3, bandwidth)))
    assert trace.arrival(begin, size) == pytest.approx(plain.arrival(begin, size))


@pytest.mark.parametrize('bandwidth', [0, -1])
def test_a_link_without_bandwidth_is_an_error(bandwidth):
    with pytest.raises(ParameterError, match='bandwidth'):
        Link(bandwidth)
