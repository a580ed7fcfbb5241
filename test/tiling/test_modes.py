import numpy as np
import pytest
import torch

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.tiling.codec import CODECS
from intradp_ros.tiling.modes import MODES, Cut


@pytest.fixture(scope='module')
def detector():
    return zoo.build('demo_detector', 'random', input_size=(96, 128))


@pytest.fixture(scope='module')
def pixels():
    ramp = np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)
    return np.ascontiguousarray(np.stack([ramp, ramp[::-1], ramp // 2], 2))


@pytest.mark.parametrize('mode,codec', [(m, c) for m in MODES for c in MODES[m].codecs])
@pytest.mark.parametrize('cut', [Cut(), Cut(tiles=1, message_bytes=4000), Cut(tiles=96)])
def test_lossless_ways_give_the_outputs_of_the_whole_model(detector, pixels, mode, codec, cut):
    raw, sent = MODES[mode].run(detector, pixels, CODECS[codec] if codec else None, cut)
    exact = codec is None or CODECS[codec].lossless
    whole = detector.raw(pixels)
    assert all(torch.equal(a, b) for a, b in zip(raw, whole)) == exact
    assert (sent == 0) == (codec is None)
    if codec == 'uint8':
        assert sent == pixels.nbytes


def test_offload_needs_a_codec(detector, pixels):
    with pytest.raises(ParameterError, match='codec'):
        MODES['offload'].run(detector, pixels, None, Cut())
