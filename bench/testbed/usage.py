"""What a process has used so far, read from /proc."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

TICK = os.sysconf('SC_CLK_TCK')


@dataclass(frozen=True)
class Usage:
    """CPU seconds, bytes of memory (now and at most), threads, open files."""

    cpu: float
    memory: int
    peak_memory: int
    threads: int
    files: int


def read(process: int, root: Path = Path('/proc')) -> Usage:
    """
    Read a process's figures.

    :raises OSError: when there is no such process.
    """
    folder = root / str(process)
    # The name, in parentheses, may hold spaces.
    fields = (folder / 'stat').read_text().rpartition(')')[2].split()
    status = dict(line.split(':', 1) for line in (folder / 'status').read_text().splitlines())

    def number(name: str) -> int:
        return int(status[name].split()[0])
    return Usage((int(fields[11]) + int(fields[12])) / TICK, number('VmRSS') * 1024,
                 number('VmHWM') * 1024, number('Threads'), len(list((folder / 'fd').iterdir())))


def difference(before: Usage, after: Usage) -> dict[str, float]:
    """Give what was used between two readings: CPU seconds; the rest as it was at the end."""
    return asdict(after) | {'cpu': after.cpu - before.cpu}
