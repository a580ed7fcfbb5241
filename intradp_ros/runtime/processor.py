"""How many processor cores this process may use, which is often fewer than the machine has."""

import os
from pathlib import Path


def cores(proc: Path = Path('/proc/self'), groups: Path = Path('/sys/fs/cgroup')) -> float:
    """
    Give the cores that are left after affinity and quotas of control groups (version 1 and 2).

    :param proc: folder that describes this process.
    :param groups: where control groups are mounted.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return min([float(usable or 1), *_quotas(proc, groups)])


def is_shared() -> bool:
    """
    Whether inference and messages share one core, or less: then each delays the other.

    With more cores, messages find one soon enough, even where inference uses all of them.
    """
    return cores() <= 1.0


def _quotas(proc: Path, groups: Path) -> list[float]:
    """Cores that each group which this process is in may use, where that is limited."""
    try:
        lines = (proc / 'cgroup').read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        root = groups / controllers if controllers else groups
        root = root if root.is_dir() else groups / 'cpu'
        folder = root / path.lstrip('/')
        # In a container the path may be that of the host, and only the root is there.
        for group in (folder, *folder.parents):
            found += _quota(group)
            if group == root:
                break
    return found


def _quota(group: Path) -> list[float]:
    try:
        if (group / 'cpu.max').is_file():
            quota, period = (group / 'cpu.max').read_text().split()
        else:
            quota = (group / 'cpu.cfs_quota_us').read_text().strip()
            period = (group / 'cpu.cfs_period_us').read_text()
    except (OSError, ValueError):
        return []
    return [] if quota in ('max', '-1') else [int(quota) / int(period)]
