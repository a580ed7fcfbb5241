"""Every codec gives back what it took, and nothing but TileError for anything else."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intradp_ros.errors import ParameterError, TileError
from intradp_ros.tiling import codec
from intradp_ros.tiling.codec import CODECS

shapes = st.tuples(st.integers(1, 9), st.integers(1, 33), st.sampled_from([1, 3, 16]))


@pytest.mark.parametrize('name', ['uint8', 'zlib'])
@given(data=st.data())
def test_lossless_bytes(name, data):
    rows = data.draw(arrays(np.uint8, data.draw(shapes)))
    encoded = CODECS[name].encode(rows)
    assert np.array_equal(CODECS[name].decode(memoryview(encoded), rows.shape), rows)


@given(data=st.data())
def test_lossless_floats(data):
    rows = data.draw(arrays(np.float32, data.draw(shapes)))
    encoded = CODECS['float32'].encode(rows)
    assert CODECS['float32'].decode(memoryview(encoded), rows.shape).tobytes() == rows.tobytes()


def test_jpeg_is_close_and_small(photograph):
    encoded = CODECS['jpeg'].encode(photograph)
    decoded = CODECS['jpeg'].decode(memoryview(encoded), photograph.shape)
    assert len(encoded) < photograph.nbytes / 4
    assert np.abs(decoded.astype(int) - photograph).mean() < 4


def test_less_quality_with_the_whole_resolution_of_colour_is_smaller(photograph):
    plain, whole = (CODECS[name].encode(photograph) for name in ('jpeg', 'jpeg_444'))
    assert len(whole) < 0.7 * len(plain)
    # The sampling factors of the three components (ITU T.81, B.2.2): 1x1 each, whoever encoded it.
    frame = whole.index(b'\xff\xc0')
    assert [whole[frame + 11 + 3 * k] for k in range(3)] == [0x11] * 3
    decoded = CODECS['jpeg_444'].decode(memoryview(whole), photograph.shape)
    assert np.abs(decoded.astype(int) - photograph).mean() < 4


def test_whoever_encodes_colour_of_the_whole_resolution_loses_as_little(photograph):
    """OpenCV, or Pillow where it cannot; they need not take the same library to it."""
    usual, other = (np.asarray(CODECS['jpeg_444'].decode(memoryview(encode(photograph)),
                                                         photograph.shape), int)
                    for encode in (CODECS['jpeg_444'].encode, codec._jpeg_444_encode_by_pillow))
    assert np.abs(usual - other).mean() < 0.5


@pytest.mark.parametrize('name', CODECS)
@given(noise=st.binary(max_size=300), shape=shapes)
def test_nonsense_is_refused(name, noise, shape):
    try:
        decoded = CODECS[name].decode(memoryview(noise), shape)
    except TileError:
        return
    assert decoded.shape == shape  # by chance the bytes were right


@pytest.mark.parametrize('name', CODECS)
@given(data=st.data())
def test_mutations_are_refused_or_keep_the_shape(name, data):
    rows = np.random.default_rng(0).integers(0, 255, (8, 24, 3)).astype(CODECS[name].dtype)
    encoded = bytearray(CODECS[name].encode(rows))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        assert CODECS[name].decode(memoryview(encoded)[:cut], rows.shape).shape == rows.shape
    except TileError:
        pass


def test_zlib_bomb_stays_small():
    bomb = zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(TileError, match='more'):
        CODECS['zlib'].decode(memoryview(bomb), (4, 4, 3))


def test_jpeg_of_another_size_is_refused_before_it_is_decoded(photograph):
    encoded = CODECS['jpeg'].encode(photograph)
    with pytest.raises(TileError, match='300x451'):
        CODECS['jpeg'].decode(memoryview(encoded), (8, 8, 3))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match='zlib'):
        codec.find('h264')
