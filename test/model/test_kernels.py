"""oneDNN does not lay weights out again while bands are computed."""

import os
import platform
import subprocess
import sys

import pytest

# On its own, since oneDNN reads what it may use of the processor once. Layers as wide as deep ones
# of detectors are, where layouts for AVX2 depend on the width.
BANDS = """
import torch
from torch import nn
from intradp_ros.model.capture import capture
from intradp_ros.tiling.engine import Engine

torch.manual_seed(0)
for width in (10, 28):
    image = torch.rand(1, 32, 24, width)
    module = nn.Sequential(
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(128, 64, 1)).eval()
    engine = Engine(capture(module, image))
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        frame = engine.start()
        for a, b in ((16, 24), (0, 3), (3, 16)):
            frame.feed(0, a, b, image[:, :, a:b])
        frame.outputs()
"""


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='oneDNN has other layouts there')
def test_bands_of_any_height_use_weights_as_they_lie():
    run = subprocess.run(
        [sys.executable, '-c', BANDS], capture_output=True, text=True, timeout=300,
        env=os.environ | {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'OMP_NUM_THREADS': '1'})
    assert run.returncode == 0, run.stderr
    steps = [line.split(',') for line in run.stdout.splitlines() if ',exec,cpu,' in line]
    kinds = [step[step.index('cpu') + 1] for step in steps]
    assert 'convolution' in kinds
    assert 'reorder' not in kinds, '\n'.join(','.join(step) for step in steps)
