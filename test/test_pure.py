"""The pure part knows nothing of ROS, and the code is clean."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ('model', 'tiling', 'planning', 'runtime', 'scenes', 'cli')

IMPORT_ALL = """
import importlib.abc, pkgutil, sys

class NoRos(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {'rclpy', 'rosidl_runtime_py', 'sensor_msgs', 'vision_msgs',
                                  'std_msgs', 'ament_index_python'} or name == 'intradp_ros.msg':
            raise ImportError(f'{name} is ROS')

sys.meta_path.insert(0, NoRos())
import intradp_ros
for part in PARTS:
    package = __import__(f'intradp_ros.{part}', fromlist=['x'])
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        __import__(module.name)
        print(module.name)
"""


def test_pure_part_imports_without_ros():
    done = subprocess.run([sys.executable, '-c', f'PARTS = {PURE}\n{IMPORT_ALL}'], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'intradp_ros.runtime.device' in done.stdout


def test_the_blocker_blocks():
    done = subprocess.run([sys.executable, '-c', f"PARTS = ('nodes',)\n{IMPORT_ALL}"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode != 0 and 'is ROS' in done.stderr


@pytest.mark.parametrize('command', [
    ('ruff', 'check', '.'), ('mypy', '--config-file', 'mypy.ini')], ids=lambda c: c[0])
def test_static_checks(command):
    if shutil.which(command[0]) is None:
        pytest.skip(f'{command[0]} is not installed')
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
