"""Freed memory is kept: frames after the first page next to nothing in."""

import os
import platform
import subprocess
import sys

import pytest
import torch

FRAMES = """
import resource, sys, threading
from intradp_ros.runtime import memory
if sys.argv[1] == 'kept':
    assert memory.keep_freed()
from intradp_ros.model import registry
from intradp_ros.model.capture import capture
from intradp_ros.tiling.engine import Engine

entry = registry.build('demo_detector')
image = registry.random_image((entry.height, entry.width))
engine = Engine(capture(entry.module, image))

def work():
    for _ in range(5):
        engine.run(image)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        engine.run(image)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='glibc is what can be asked')
def test_later_frames_page_nothing_in():
    faults = {}
    for kind in ('given back', 'kept'):
        done = subprocess.run([sys.executable, '-c', FRAMES, kind], check=True, text=True,
                              capture_output=True)
        faults[kind] = int(done.stdout)
    # Ten frames: some megabytes of each are paged in anew, or next to nothing is.
    assert faults['given back'] > 10_000
    assert faults['kept'] < 1000


KERNELS = """
import os, torch
from intradp_ros.runtime import memory
memory.bound_kernels()
weight = torch.ones(8, 8, 3, 3)

def run(rows):
    torch.nn.functional.conv2d(torch.ones(1, 8, rows, 64), weight)

for rows in range(50, 100 + memory.KERNELS):
    run(rows)
print('AGAIN', flush=True)
run(50)
"""


@pytest.mark.parametrize('users', [None, '1024'])
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='torch without oneDNN')
def test_kernels_are_forgotten_beyond_a_number_or_as_the_user_says(users):
    given = os.environ | {'ONEDNN_VERBOSE': 'profile_create'}
    given.pop('ONEDNN_PRIMITIVE_CACHE_CAPACITY', None)
    if users:
        given['ONEDNN_PRIMITIVE_CACHE_CAPACITY'] = users
    done = subprocess.run([sys.executable, '-c', KERNELS], check=True, text=True,
                          capture_output=True, env=given)
    again = [line for line in done.stdout.split('AGAIN')[1].splitlines() if 'convolution' in line]
    assert again
    assert any('create:cache_miss' in line for line in again) == (users is None)
