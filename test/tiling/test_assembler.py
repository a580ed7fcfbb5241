"""The assembler gives back the tensor whatever order and repetition its rows come in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.errors import TileError
from intradp_ros.tiling.assembler import Assembler
from intradp_ros.tiling.codec import CODECS

PLAIN = CODECS['uint8']
IMAGE = np.random.default_rng(0).integers(0, 255, (24, 10, 3)).astype(np.uint8)

intervals = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda i: i[0] < i[1])


@given(st.lists(intervals, max_size=12), st.randoms())
def test_any_order_and_overlap(cuts, random):
    cuts = [*cuts, *((i, i + 1) for i in range(24))]
    random.shuffle(cuts)
    assembler, seen = Assembler(IMAGE.shape), set()
    for begin, end in cuts:
        fresh = set(range(begin, end)) - seen
        seen |= fresh
        assert assembler.add(begin, end, PLAIN, IMAGE[begin:end].tobytes()) == bool(fresh)
        assert assembler.complete == (len(seen) == 24)
    assert np.array_equal(assembler.pixels, IMAGE)


def test_rows_that_are_there_stay():
    assembler = Assembler(IMAGE.shape)
    assembler.add(0, 10, PLAIN, IMAGE[:10].tobytes())
    assembler.add(5, 15, PLAIN, bytes(10 * 30))
    assert np.array_equal(assembler.pixels[:10], IMAGE[:10])
    assert not assembler.pixels[10:15].any()


@pytest.mark.parametrize('begin, end', [(-1, 3), (3, 3), (5, 4), (20, 25), (0, 65535)])
def test_rows_outside_are_refused(begin, end):
    with pytest.raises(TileError, match='24 rows'):
        Assembler(IMAGE.shape).add(begin, end, PLAIN, b'')


def test_a_codec_of_another_type_is_refused():
    with pytest.raises(TileError, match='float32'):
        Assembler(IMAGE.shape).add(0, 1, CODECS['float32'], bytes(120))
