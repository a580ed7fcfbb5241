"""The simulation agrees with the published latencies, where those are there to compare with."""

import importlib.util
from pathlib import Path

import pytest

from published_report import TARGET, markdown

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / 'shared' / 'data' / 'jetson_nx'

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f'no tables in {DATA}')


@pytest.fixture(scope='module')
def published():
    spec = importlib.util.spec_from_file_location('published', ROOT / 'bench' / 'published.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LAUNCH_SHARES = [0.0, 0.2]
    return module


def test_vgg19_agrees_and_ours_takes_less_than_half(published):
    result = published.compare(DATA, 'vgg19_bn')
    assert result['error']['offload'] <= TARGET
    assert result['error']['intra_dp'] <= TARGET
    # The constant of the published transport: 13 to 54 ms.
    assert 10 < result['constant_ms'] < 60
    assert all(row['ours'] <= row['published'] / 2 for row in result['frontier'])
    text = markdown([result])
    assert text.count('| vgg19_bn |') >= 7


def test_agrnav_returns_a_map(published):
    """Its result is one byte a voxel: with a small result offload would not agree."""
    result = published.compare(DATA, 'agrnav')
    assert max(result['error'].values()) <= TARGET
    assert all(row['result_in_bands'] < row['ours'] for row in result['frontier'])
