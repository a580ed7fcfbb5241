"""What nodes tell Fast DDS by themselves, and that it takes it."""

import shutil
import signal
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.utilities import get_rmw_implementation_identifier

from intradp_ros.nodes import middleware
from intradp_ros.nodes.processes import Processes, command

RMW = 'rmw_fastrtps_cpp'


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'dev/shm').mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize('distro, name', [
    ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ('rolling', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_who_chose_nothing_is_given_more_shared_memory(root, distro, name):
    given = middleware.settings({'ROS_DISTRO': distro}, RMW, root)
    assert list(given) == [name]
    assert '<segment_size>' in Path(given[name]).read_text()


@pytest.mark.parametrize('name', [*middleware.FILES, *middleware.OTHERS])
def test_who_chose_keeps_it(root, name):
    assert middleware.settings({name: 'UDPv4'}, RMW, root) == {}
    assert middleware.settings({name: ''}, RMW, root)


@pytest.mark.parametrize('name', middleware.BESIDE)
def test_so_does_a_folder_with_profiles(root, name):
    (root / name).touch()
    assert middleware.settings({}, RMW, root) == {}


def test_other_middlewares_and_full_or_missing_memory(root, monkeypatch):
    assert middleware.settings({}, 'rmw_cyclonedds_cpp', root) == {}
    monkeypatch.setattr(middleware, 'ROOM', shutil.disk_usage(root).total + 1)
    assert middleware.settings({}, RMW, root) == {}
    monkeypatch.setattr(middleware, 'ROOM', 0)
    assert middleware.settings({}, RMW, root)
    shutil.rmtree(root / 'dev')
    assert middleware.settings({}, RMW, root) == {}


def shared_memory(pid):
    """Sizes of what a process maps of /dev/shm as segments of Fast DDS."""
    sizes = {}
    for line in Path(f'/proc/{pid}/maps').read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if '/fastdds_' in path or '/fastrtps_' in path:
            begin, end = (int(a, 16) for a in line.split()[0].split('-'))
            sizes[path] = sizes.get(path, 0) + end - begin
    return sizes


@pytest.mark.skipif(not get_rmw_implementation_identifier().startswith('rmw_fastrtps'),
                    reason='settings of Fast DDS')
@pytest.mark.skipif(not middleware.has_room(), reason='/dev/shm is full')
def test_a_node_takes_it_and_is_heard(graph, tmp_path, monkeypatch):
    for name in middleware.FILES:
        monkeypatch.delenv(name, raising=False)
    said = []
    graph.probe().create_subscription(DiagnosticArray, '/diagnostics', said.append, 10)
    with Processes(tmp_path) as processes:
        node = processes.start('parameter_server', command('parameter_server', '/robot',
                                                           'robot.yaml'))
        graph.wait(lambda: said)
        assert max(shared_memory(node.pid).values()) >= 8 * 2**20
        node.send_signal(signal.SIGINT)
        code, log = node.wait(20), processes.log('parameter_server').read_text()
        assert code == 0, log
        assert 'XMLPARSER' not in log
