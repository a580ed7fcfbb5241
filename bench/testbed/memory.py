"""
Shared memory of a side's own, as two machines have it: Fast DDS carries images from a camera's
process to the device node in it, and nothing from robot to edge.

What a side has in /dev/shm lies in a folder of the machine's, which every process of that side
finds in its place by a mount namespace of its own.
"""

import shutil
from pathlib import Path

from testbed.shell import BedError

ROOT = Path('/dev/shm')


def make(name: str) -> Path:
    """
    Make the folder of one side.

    :raises BedError: where this machine has no /dev/shm.
    """
    folder = ROOT / name
    try:
        folder.mkdir()
    except OSError as error:
        raise BedError(f'cannot make {folder}, the shared memory of one side: {error}') from error
    return folder


def seeing(folder: Path) -> list[str]:
    """Give the words that make a command see a side's shared memory as /dev/shm."""
    return ['unshare', '--mount', 'sh', '-c', f'mount --bind "$0" {ROOT} && exec "$@"',
            str(folder)]


def remove(prefix: str) -> None:
    """Remove all folders whose names begin with a prefix and a dash."""
    for folder in names(prefix):
        shutil.rmtree(folder)


def names(prefix: str) -> list[Path]:
    """Find the folders whose names begin with a prefix and a dash."""
    return sorted(ROOT.glob(prefix + '-*'))
