"""The test bed itself: its pure parts anywhere, namespaces where this may be done."""

import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

import conditions
from testbed import bed as beds
from testbed import cpu, memory, network, shell, usage
from testbed.bed import Processor, TestBed
from testbed.brake import Brake

BENCH = Path(__file__).parents[2] / 'bench'


def why_not() -> str:
    """Say why there can be no namespaces here, or ''."""
    try:
        shell.require()
        cpu.controller()
        if len(os.sched_getaffinity(0)) < 2:
            return 'needs two cores'
        shell.sh('ip netns add intradp-probe')
        shell.sh('ip netns delete intradp-probe')
        Brake(min(os.sched_getaffinity(0)), 0.5).release()
    except (shell.BedError, OSError) as error:
        return str(error)
    return ''


@pytest.fixture(scope='module')
def allowed():
    if reason := why_not():
        pytest.skip(reason)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    with pytest.raises(shell.BedError, match='sudo -E'):
        shell.require()
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    monkeypatch.setattr(shutil, 'which', lambda tool: None)
    with pytest.raises(shell.BedError, match='apt-get install iproute2 mount nftables util-linux'):
        shell.require()


def test_a_failing_command_says_what_it_said():
    with pytest.raises(shell.BedError, match='"ls /nowhere" failed with code 2.*No such file'):
        shell.sh('ls /nowhere')


def test_both_versions_of_control_groups_are_found():
    one = 'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /c/acct cgroup rw,cpuacct 0 0\n' \
          'cgroup /c/cpu cgroup rw,relatime,cpu 0 0\n'
    assert cpu.controller(one) == (Path('/c/cpu'), False)
    assert cpu.controller('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0') == (
        Path('/sys/fs/cgroup'), True)
    with pytest.raises(shell.BedError, match='mount -t cgroup2'):
        cpu.controller('tmpfs /tmp tmpfs rw 0 0')


@pytest.mark.parametrize('robots, most, share, shared', [
    (1, 1, 0.25, False), (2, 1, 0.25, True), (8, 1, 0.9 / 8, True), (1, 8, 0.9 / 8, True)])
def test_robots_of_beds_that_are_compared_are_as_slow(allowed, monkeypatch, tmp_path, robots, most,
                                                      share, shared):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1})
    made = conditions.bed_of(Namespace(share=None, out=tmp_path), robots, most).robot
    assert made == Processor(share, (0,), shared)


def test_a_burst_is_two_packets_or_two_milliseconds():
    assert network.burst(0.6e6) == 2 * 1514
    assert network.burst(10e6) == 20000


@pytest.mark.parametrize('cores, robots, expected', [
    ({0, 1}, 1, (Processor(0.25, (0,)), Processor(0, (1,)))),
    ({0, 1}, 8, (Processor(0.9 / 8, (0,)), Processor(0, (1,)))),
    ({2, 3, 4, 5}, 8, (Processor(0.25, (2, 3, 4)), Processor(0, (5,)))),
    ({0, 1, 2, 3}, 1, (Processor(0.25, (0,)), Processor(0, (1,))))])
def test_robots_and_edge_never_share_a_core(monkeypatch, cores, robots, expected):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: cores)
    assert beds.default_processors(robots) == expected


@pytest.mark.parametrize('robots, share, expected', [
    (1, 0.5, 0.5), (8, 0.5, 0.9 / 8), (1, 1.0, 1.0)])
def test_robots_on_one_core_have_less_of_it_than_was_asked(monkeypatch, robots, share, expected):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1})
    assert beds.default_processors(robots, share)[0].share == expected


@pytest.mark.parametrize('share, expected', [
    (0.25, (1250, 5000)), (0.9, (4500, 5000)), (0.1, (1000, 10000)), (0.05, (1000, 20000))])
def test_a_small_share_has_a_longer_period(share, expected):
    """As the kernel takes no smaller quota than a millisecond."""
    assert cpu.slices(share) == expected


@pytest.mark.parametrize('available, robot, edge, expected', [
    ({0, 1}, (0,), (1,), {1}), ({0, 1, 2, 3}, (0,), (1,), {2, 3}),
    ({2, 3, 4, 5}, (2, 3, 4), (5,), {5})])
def test_who_watches_takes_nothing_from_a_robot(available, robot, edge, expected):
    assert beds.spare(available, robot, edge) == expected


def test_one_core_is_too_few(monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0})
    with pytest.raises(shell.BedError, match='two cores'):
        beds.default_processors()


def test_what_a_process_has_used():
    before = usage.read(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    with open(os.devnull) as _:
        after = usage.read(os.getpid())
    used = usage.difference(before, after)
    assert 0.05 <= used['cpu'] <= 0.3
    assert used['files'] == before.files + 1 and used['threads'] >= 1
    assert 1e7 < used['memory'] <= used['peak_memory']


# -- with namespaces -----------------------------------------------------------------------------

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.77.0.1', 9000))
print('ready', flush=True)
while True:
    data, sender = s.recvfrom(70000)
    s.sendto(data[:8], sender)
"""
SEND = """
import socket, sys, time
size, count = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
begin, answered, last = time.monotonic(), 0, 0.0
for _ in range(count):
    try:
        s.sendto(bytes(size), ('10.77.0.1', 9000))
        s.recv(100)
        answered, last = answered + 1, time.monotonic() - begin
    except OSError:
        pass
print(answered, last)
"""


def exchange(bed, size, count, robot=0):
    """Send datagrams to the edge, each when the last was answered; (answered, seconds)."""
    done = subprocess.run([*bed.on_robot(robot), sys.executable, '-c', SEND, str(size),
                           str(count)], capture_output=True, text=True, check=True)
    answered, seconds = done.stdout.split()
    return int(answered), float(seconds)


@pytest.fixture
def bed(allowed):
    with TestBed(robots=2, rate=10e6) as made:
        echo = subprocess.Popen([*made.on_edge(), sys.executable, '-c', ECHO],
                                stdout=subprocess.PIPE, text=True)
        assert echo.stdout.readline() == 'ready\n'
        yield made
        echo.kill()
        echo.wait()
        echo.stdout.close()


def test_a_link_carries_its_rate_and_no_more(bed):
    bed.links[0].set_rate(1e6)
    exchange(bed, 100, 3)
    before = bed.links[0].bytes()
    answered, seconds = exchange(bed, 50000, 10)
    assert answered == 10
    # 514 kB with headers; a busy machine makes it slower, nothing makes it faster.
    assert seconds > 0.48
    up, down = (b - a for a, b in zip(before, bed.links[0].bytes()))
    assert 500_000 < up < 530_000 and 0 < down < 5000
    bed.links[0].set_rate(20e6)
    assert exchange(bed, 50000, 10)[1] < seconds
    assert bed.links[1].bytes()[0] < 10_000, "one robot's bytes on the other's link"


def test_loss_and_outages_begin_and_end(bed):
    link = bed.links[1]
    link.set_loss(0.9999)
    assert exchange(bed, 100, 2, robot=1)[0] == 0
    link.set_loss(0.5)
    assert exchange(bed, 100, 16, robot=1)[0] < 16
    link.set_loss(0)
    # A busy machine may be late with one or two.
    assert exchange(bed, 100, 10, robot=1)[0] >= 8
    link.set_up(False)
    assert exchange(bed, 100, 2, robot=1)[0] == 0
    link.set_up(True)
    assert exchange(bed, 100, 10, robot=1)[0] >= 8


@pytest.mark.parametrize('robots', [1, 2])
def test_a_robot_is_slow(allowed, robots):
    """By a brake where it has a core, by a quota where it shares one."""
    work = 'import time\nb = time.monotonic()\nwhile time.process_time() < 0.5: pass\n' \
           'print(time.monotonic() - b)'
    with TestBed(robots) as bed:
        done = subprocess.run([*bed.on_robot(), sys.executable, '-c', work], capture_output=True,
                              text=True, check=True)
    # A quarter of a core, less what the interpreter's start used of the 0.5 s.
    assert float(done.stdout) > 1.4


def test_nodes_on_a_robot_see_how_slow_it_is(bed):
    work = 'from intradp_ros.runtime import processor\nprint(processor.cores())'
    done = subprocess.run([*bed.on_robot(), sys.executable, '-c', work], capture_output=True,
                          text=True, check=True)
    assert float(done.stdout) == bed.robot.share < 1


def test_commands_that_change_links_keep_off_a_robots_core(allowed):
    before = os.sched_getaffinity(0)
    with TestBed() as bed:
        mine = set(subprocess.check_output(
            [sys.executable, '-c', 'import os; print(*os.sched_getaffinity(0))'],
            text=True).split())
        assert not mine & set(map(str, bed.robot.cores))
    assert os.sched_getaffinity(0) == before


def test_only_processes_of_a_side_share_memory(allowed):
    with TestBed() as bed:
        subprocess.run([*bed.on_robot(), 'touch', '/dev/shm/intradp-mine'], check=True)
        seen = [subprocess.check_output([*prefix, 'ls', '/dev/shm'], text=True).split()
                for prefix in (bed.on_robot(), bed.on_edge(), [])]
    assert seen[:2] == [['intradp-mine'], []] and 'intradp-mine' not in seen[2]


def shared(robots):
    """Whether robots share a core."""
    return robots > len(beds.default_processors(robots)[0].cores)


def children(number):
    """Numbers of a process's children."""
    return Path(f'/proc/{number}/task/{number}/children').read_text().split()


def words(number):
    """Command line of a process."""
    return Path(f'/proc/{number}/cmdline').read_text()


@pytest.mark.parametrize('robots', [1, 2])
@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(allowed, end, robots):
    # Shells have what they run in the background ignore SIGINT.
    script = ('import signal, sys, time\nfrom testbed.bed import TestBed\nimport subprocess\n'
              'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
              f'with TestBed({robots}) as bed:\n'
              '    inside = subprocess.Popen([*bed.on_robot(), "sh", "-c", "echo; sleep 1000"],\n'
              '                              stdout=subprocess.PIPE)\n'
              '    inside.stdout.readline()\n'
              '    print("ready", flush=True)\n'
              '    time.sleep(1000)\n')
    process = subprocess.Popen(
        [sys.executable, '-c', script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=os.environ | {'PYTHONPATH': os.pathsep.join(
            [str(BENCH), *filter(None, [os.environ.get('PYTHONPATH')])])})
    assert process.stdout.readline() == 'ready\n'
    name = f'{beds.PREFIX}-{process.pid}'
    assert len(network.names(name)) == robots + 1
    assert len(cpu.names(name)) == (robots if shared(robots) else 0)
    assert len(memory.names(name)) == robots + 1
    inside = shell.sh(f'ip netns pids {name}-robot0').split()
    brakes = [number for number in children(process.pid) if 'testbed.brake' in words(number)]
    assert len(brakes) == (0 if shared(robots) else robots)
    process.send_signal(end)
    process.wait(20)
    process.stdout.close()
    if end == signal.SIGKILL:
        # Nobody could clean up: the next bed does.
        assert network.names(name)
        beds.clean()
    assert not network.names(name) and not cpu.names(name) and not memory.names(name)
    until = time.monotonic() + 5
    while any(alive(number) for number in inside + brakes) and time.monotonic() < until:
        time.sleep(0.05)
    assert inside and not any(alive(number) for number in inside + brakes)


def alive(number):
    """True for a process that has not ended (a zombie has)."""
    try:
        return Path(f'/proc/{number}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False
