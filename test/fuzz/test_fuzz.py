"""Mutated messages at the nodes' own callbacks, short; bench/fuzz.py is the long one."""

import importlib.util
from pathlib import Path

import pytest

from intradp_ros.tiling.engine import PLANS_KEPT

SCRIPT = Path(__file__).parents[2] / 'bench' / 'fuzz.py'


@pytest.fixture
def flood(domain):
    spec = importlib.util.spec_from_file_location('fuzz', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.Flood(seed=1, domain=domain)
    yield made
    made.close()


def test_a_flood_stops_nobody_and_takes_no_more_than_its_share(flood):
    figures = flood.run(5000)  # raises what leaves a callback, and a frame that is not exact
    outcomes = figures['edge_tiles_of_the_bad_robot']
    assert outcomes.keys() >= {'accepted', 'malformed', 'refused', 'duplicate', 'late', 'frames'}
    assert outcomes['malformed'] > 500, 'the flood was no flood'
    assert figures['what']['exact frames of good'] > 20
    assert figures['what']['frames of the victim'] == 10
    assert figures['plans_remembered'] < PLANS_KEPT
    assert figures['peak_python_bytes'] < (
        figures['bound_bytes'] + 8000 * figures['plans_remembered'])
    assert figures['resident_growth_bytes'] < 100e6
