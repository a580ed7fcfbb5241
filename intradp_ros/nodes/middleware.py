"""
The settings that our nodes give Fast DDS where their user chose none.

Fast DDS gives each participant 512 KB of memory to share with others of its host. What was queued
for a process that was killed keeps its place there until less is free than a message needs; as
long as enough is free, but in pieces, no message of 60 KB finds a place again. It is dropped in
silence, while small ones (heartbeats, acknowledgements) pass. So an edge that was killed and
started again on the robot's own host was sometimes not heard again; with the 8 MB of
config/fastdds_shared_memory.xml it always was (bench/results/restarts.md).
"""

import os
from collections.abc import Mapping
from pathlib import Path

from intradp_ros.nodes.processes import config

# What names a file of profiles: for Fast DDS 3, and 2 (Jazzy and before). Kilted's rmw_fastrtps
# knows both, and a file that is named twice is an error to it.
FILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
FAST_DDS_2 = ('humble', 'iron', 'jazzy')
# Other ways in which a user may have chosen.
OTHERS = ('FASTDDS_BUILTIN_TRANSPORTS',)
BESIDE = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')
# Free bytes of /dev/shm that 8 MB may be taken from: a container has 64 MB by default, and a node
# that finds no memory at all cannot start.
ROOM = 32 * 2**20


def free_shared_memory(root: Path = Path('/')) -> int | None:
    """Give the free bytes of /dev/shm; None where there is none."""
    try:
        state = os.statvfs(root / 'dev/shm')
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def has_room(root: Path = Path('/')) -> bool:
    """Whether /dev/shm has room for more memory than Fast DDS takes by itself."""
    free = free_shared_memory(root)
    return free is not None and free >= ROOM


def settings(environment: Mapping[str, str], rmw: str, root: Path = Path('/')) -> dict[str, str]:
    """
    Give what a node adds to its environment before it starts; nothing where its user has chosen
    something.

    :param rmw: name of the middleware, as `get_rmw_implementation_identifier` gives it.
    :param root: of the file system; tests have one of their own.
    """
    chosen = any(environment.get(name) for name in (*FILES, *OTHERS)) or any(
        Path(name).exists() for name in BESIDE)
    if chosen or not rmw.startswith('rmw_fastrtps') or not has_room(root):
        return {}
    name = FILES[environment.get('ROS_DISTRO') in FAST_DDS_2]
    return {name: str(config('fastdds_shared_memory.xml'))}
