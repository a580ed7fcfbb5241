"""
A share of a processor, for robots that have none to themselves: a control group that may use only
so much of a core's time.

The kernel charges it by the ticks of its clock, so it comes in slices of some milliseconds
(`brake` has figures).
"""

import time
from pathlib import Path

from testbed.shell import BedError

PERIOD_US = 5000
# The kernel takes no smaller quota.
LEAST_US = 1000


def controller(mounts: str | None = None) -> tuple[Path, bool]:
    """
    Find where the cpu controller is mounted.

    :param mounts: text of /proc/mounts.
    :returns: its folder, and whether it is of version 2.
    :raises BedError: when there is none.
    """
    text = Path('/proc/mounts').read_text() if mounts is None else mounts
    unified = None
    for line in text.splitlines():
        _, folder, kind, options = line.split()[:4]
        if kind == 'cgroup' and 'cpu' in options.split(','):
            return Path(folder), False
        if kind == 'cgroup2':
            unified = Path(folder)
    if unified is None:
        raise BedError('no cpu controller of control groups is mounted here '
                       '(mount -t cgroup2 none /sys/fs/cgroup)')
    return unified, True


def slices(share: float) -> tuple[int, int]:
    """Give quota and period in microseconds for a share of a core's time (1.0 is all of it)."""
    quota = max(LEAST_US, round(share * PERIOD_US))
    return quota, round(quota / share)


def make(name: str, share: float) -> Path:
    """
    Make a group that gets `share` (1.0 is one core's whole time) of processor time.

    :returns: the file that a process number is written to, to have it join.
    :raises BedError: when the machine does not allow it.
    """
    folder, unified = controller()
    quota, period = slices(share)
    try:
        if unified:
            (folder / 'cgroup.subtree_control').write_text('+cpu')
        (folder / name).mkdir()
        if unified:
            (folder / name / 'cpu.max').write_text(f'{quota} {period}')
        else:
            (folder / name / 'cpu.cfs_period_us').write_text(str(period))
            (folder / name / 'cpu.cfs_quota_us').write_text(str(quota))
    except OSError as error:
        raise BedError(f'cannot make the control group {folder / name}: {error}') from error
    return folder / name / 'cgroup.procs'


def remove(prefix: str) -> None:
    """Remove all groups whose names begin with a prefix and a dash."""
    for group in names(prefix):
        until = time.monotonic() + 5
        while True:
            try:
                group.rmdir()
                break
            except OSError as error:  # what has been killed may not have left yet
                if time.monotonic() > until:
                    raise BedError(f'cannot remove the control group {group}: {error}') from error
                time.sleep(0.05)


def names(prefix: str) -> list[Path]:
    """Find the groups whose names begin with a prefix and a dash."""
    return sorted(controller()[0].glob(prefix + '-*'))
