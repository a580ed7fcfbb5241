"""How many cores a process may use: affinity, and quotas of either version of control groups."""

import os

import pytest

from intradp_ros.runtime.processor import cores

ALL = float(len(os.sched_getaffinity(0)))


@pytest.mark.parametrize('line, files, expected', [
    ('0::/robot/nodes', {'robot/nodes/cpu.max': 'max 100000',
                         'robot/cpu.max': '50000 100000'}, 0.5),
    ('0::/robot', {'robot/cpu.max': 'max 100000'}, ALL),
    ('0::/on/the/host', {'cpu.max': '20000 100000'}, 0.2),
    ('4:cpu,cpuacct:/robot', {'cpu,cpuacct/robot/cpu.cfs_quota_us': '1250',
                              'cpu,cpuacct/robot/cpu.cfs_period_us': '5000'}, 0.25),
    ('4:cpuacct,cpu:/robot', {'cpu/robot/cpu.cfs_quota_us': '-1',
                              'cpu/robot/cpu.cfs_period_us': '5000'}, ALL),
    ('4:memory:/robot', {'memory/robot/cpu.max': '1 5000'}, ALL),
    ('0::/robot', {'robot/cpu.max': 'nonsense'}, ALL),
    ('0::/robot', {}, ALL)])
def test_the_least_of_affinity_and_quotas(tmp_path, line, files, expected):
    (tmp_path / 'cgroup').write_text(line + '\n')
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + '\n')
    assert cores(tmp_path, tmp_path) == expected


def test_this_process():
    assert 0 < cores() <= ALL


def test_without_control_groups(tmp_path):
    assert cores(tmp_path / 'none', tmp_path) == ALL
