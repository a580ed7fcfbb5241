"""
Memory that a frame has freed is kept for the next one, and kernels are kept up to a number.

By default glibc gives large blocks back to the system as soon as they are freed, and every tensor
of every frame is paged in anew: a quarter of the demo detector's time on one core, a third of
MobileNetV2's at 640x480. What the process holds does not grow by keeping it: the next frame needs
the same again.
"""

import ctypes
import os
import platform

# Numbers of glibc's malloc.h (mallopt(3)).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
LARGEST_BLOCK = 32 << 20  # the most that glibc takes as M_MMAP_THRESHOLD on 64 bits
KEPT = 1 << 30
# Kernels of oneDNN that are kept at a time (its own default is 1024), each made for one shape and
# about 30 kB. Bands have more shapes than whole frames: with 1024 an edge grows for half an hour,
# and the three models that were tried need no more than so many to be as fast (doc/engine.md).
KERNELS = 256


def keep_freed() -> bool:
    """
    Ask malloc to keep freed blocks of up to 32 MiB; call it before threads are started.

    :returns: whether that was done: it is glibc's business, and elsewhere nothing is changed.
    """
    if platform.libc_ver()[0] != 'glibc':
        return False
    libc = ctypes.CDLL(None)
    # One arena: those of threads are too small to hold several large tensors.
    wishes = (M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGEST_BLOCK), (M_TRIM_THRESHOLD, KEPT), \
        (M_TOP_PAD, LARGEST_BLOCK)
    return all([libc.mallopt(option, value) == 1 for option, value in wishes])


def bound_kernels() -> None:
    """Bound the kernels that oneDNN keeps, unless the user has; call it before the first one."""
    os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', str(KERNELS))
