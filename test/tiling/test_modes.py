import numpy as np
import pytest

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.tiling.codec import CODECS
from intradp_ros.tiling.modes import MODES, Cut
from intradp_ros.tiling.split import bottleneck


@pytest.fixture(scope='module')
def detector():
    return zoo.build('demo_detector', 'random', input_size=(96, 128))


@pytest.fixture(scope='module')
def pixels():
    ramp = np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)
    return np.ascontiguousarray(np.stack([ramp, ramp[::-1], ramp // 2], 2))


WAYS = [(mode, codec) for mode in MODES for codec in MODES[mode].codecs]


def close(one, other) -> bool:
    """Equal to float rounding, relative to the largest value."""
    return all((a - b).abs().max() <= 1e-5 * b.abs().max() for a, b in zip(one, other))


@pytest.mark.parametrize('mode,codec', WAYS)
@pytest.mark.parametrize('cut', [Cut(), Cut(1, 4000, share=0.3), Cut(96, share=0.9)])
def test_lossless_ways_give_the_outputs_of_the_whole_model(detector, pixels, mode, codec, cut):
    run = MODES[mode].prepare(detector, CODECS[codec] if codec else None, cut)
    raw, sent = run(pixels)
    exact = codec is None or CODECS[codec].lossless
    assert close(raw, detector.raw(pixels)) == exact
    assert (sent == 0) == (codec is None)


@pytest.mark.parametrize('share', [0, 0.25, 0.5, 1])
def test_split_sends_merge_rows_and_the_raw_rows_of_the_others(detector, pixels, share):
    run = MODES['split'].prepare(detector, CODECS['uint8'], Cut(merge=merge(detector),
                                                                share=share))
    raw, sent = run(pixels)
    assert close(raw, detector.raw(pixels))
    upper = round(share * 12)
    # 8 input rows for each row of the narrow tensor, and a halo of 11 above.
    lower = (96 - 8 * upper + (11 if upper else 0)) if upper < 12 else 0
    assert sent == upper * 16 * 16 * 4 + lower * 128 * 3


def merge(detector) -> str:
    """Name of the narrow tensor, the first that is smaller than the image."""
    return bottleneck(detector.graph).name


def test_the_natural_bottleneck_is_the_narrow_tensor(detector):
    assert bottleneck(detector.graph).shape[1:] == (16, 12, 16)


@pytest.mark.parametrize('mode', ['offload', 'split'])
def test_who_sends_rows_needs_a_codec(detector, pixels, mode):
    with pytest.raises(ParameterError, match='codec'):
        MODES[mode].prepare(detector, None, Cut())(pixels)
