"""Bands and pieces cover all rows once, in order, within the limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.errors import TileError
from intradp_ros.tiling.codec import CODECS
from intradp_ros.tiling.tiles import bands, pieces


@given(rows=st.integers(1, 2000), count=st.integers(1, 300))
def test_bands_cover_and_are_even(rows, count):
    cut = bands(rows, count)
    assert cut[0][0] == 0 and cut[-1][1] == rows and len(cut) == min(count, rows)
    assert all(a[1] == b[0] for a, b in zip(cut, cut[1:]))
    heights = [b - a for a, b in cut]
    assert max(heights) - min(heights) <= 1


@pytest.mark.parametrize('name', ['uint8', 'zlib', 'jpeg'])
@given(height=st.integers(1, 60), limit=st.integers(1500, 20000), begin=st.integers(0, 9))
def test_pieces_cover_within_the_limit(name, height, limit, begin):
    rows = np.random.default_rng(height).integers(0, 255, (height, 100, 3)).astype(np.uint8)
    cut = list(pieces(rows, begin, CODECS[name], limit))
    assert all(len(p.data) <= limit for p in cut)
    assert cut[0].row_begin == begin and cut[-1].row_end == begin + height
    assert all(a.row_end == b.row_begin for a, b in zip(cut, cut[1:]))
    if CODECS[name].lossless:
        back = [CODECS[name].decode(memoryview(p.data), (p.row_end - p.row_begin, 100, 3))
                for p in cut]
        assert np.array_equal(np.concatenate(back), rows)


def test_a_row_that_does_not_fit_is_refused():
    with pytest.raises(TileError, match='message_bytes'):
        list(pieces(np.zeros((2, 1000, 3), np.uint8), 0, CODECS['uint8'], 2999))
