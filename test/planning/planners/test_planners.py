"""Planners are found by name, and say what they are."""

import pytest

from intradp_ros.errors import ParameterError
from intradp_ros.planning import planners


def test_unknown_name_lists_the_planners():
    with pytest.raises(ParameterError, match="'best'.*local.*frontier"):
        planners.find('best')


@pytest.mark.parametrize('name', planners.NAMES[:3])
def test_found_by_name(name):
    assert planners.find(name).__name__.endswith(f'planners.{name}')
