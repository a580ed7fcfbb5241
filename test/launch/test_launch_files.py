"""The launch files, where launch_ros is installed (it is not on PyPI: see the README)."""

import importlib.util
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / 'launch'


@pytest.mark.parametrize('file', sorted(p.name for p in LAUNCH.glob('*.launch.py')))
def test_launch_files_describe_their_arguments(file):
    pytest.importorskip('launch_ros', reason='launch_ros is not installed (no wheel on PyPI)')
    from launch.actions import DeclareLaunchArgument

    from launch import LaunchContext
    spec = importlib.util.spec_from_file_location('file', LAUNCH / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    arguments = [e for e in description.entities if isinstance(e, DeclareLaunchArgument)]
    assert arguments and all(a.description for a in arguments)
    for argument in arguments:
        argument.visit(LaunchContext())
