"""What must hold of the runtime (issue 6, point 8), judged from what was seen. Pure."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from testbed.summary import Frame
from testbed.usage import Usage


@dataclass(frozen=True)
class Check:
    """One thing that must hold: a figure and what it may be at most."""

    name: str
    measured: float
    most: float
    unit: str = ''

    @property
    def holds(self) -> bool:
        """True when it does; never for NaN, which stands for nothing seen."""
        return self.measured <= self.most

    def plain(self) -> dict:
        """Give it as JSON."""
        return asdict(self) | {'holds': self.holds}


def delivered(delivery: dict[str, int], where: str) -> Check:
    """Every processed frame has exactly one message, in order."""
    faults = sum(delivery[kind] for kind in ('missing', 'duplicated', 'reordered'))
    return Check(f'{where}: messages missing, twice or out of order',
                 faults if delivery['frames'] else math.nan, 0)


def hit(frames: Sequence[Frame], moments: Sequence[float]) -> list[Frame]:
    """Give the frames in the middle of which one of these moments fell."""
    return [frame for frame in frames if frame.heard
            and any(frame.begin < moment < frame.heard[0] for moment in moments)]


def returns(frames: Sequence[Frame], restored: Sequence[float],
            seen_for: float = 2.0) -> list[float]:
    """
    Give the seconds from each moment at which the link was there again until the first frame
    began of which the edge acknowledged something; infinite where none did.

    :param seen_for: seconds; moments so near to the end of what was seen say nothing.
    """
    linked = [frame.begin for frame in frames if frame.report['acknowledged']]
    end = max((frame.begin for frame in frames), default=-math.inf)
    return [min((begin - moment for begin in linked if begin >= moment), default=math.inf)
            for moment in restored if end >= moment + seen_for]


def growth(samples: Sequence[tuple[float, dict[str, Usage]]], process: str,
           after: float = 60.0) -> dict[str, float]:
    """
    Give how a process grew from `after` seconds on: memory as a share, threads and files as
    numbers, each the median of the last fifth of the samples less that of the first fifth.

    Medians, because a garbage collector's saw-tooth is no leak.
    """
    seen = [usage[process] for time, usage in samples
            if process in usage and time >= samples[0][0] + after]
    part = max(1, len(seen) // 5)
    if len(seen) < 2:
        return dict.fromkeys(('memory', 'threads', 'files'), math.nan)

    def middle(name: str, of: Sequence[Usage]) -> float:
        values = sorted(getattr(usage, name) for usage in of)
        return values[len(values) // 2]
    change = {name: middle(name, seen[-part:]) - middle(name, seen[:part])
              for name in ('memory', 'threads', 'files')}
    return change | {'memory': change['memory'] / middle('memory', seen[:part])}


def table(results: dict[str, dict]) -> str:
    """Format all checks as Markdown."""
    lines = ['| run | what must hold | measured | at most | holds |', '|---|---|---|---|---|']
    for name, result in results.items():
        for check in result['checks']:
            lines.append(f'| {name} | {check["name"]} | {check["measured"]:.3g} {check["unit"]} | '
                         f'{check["most"]:.3g} {check["unit"]} | '
                         f'{"yes" if check["holds"] else "**no**"} |')
    return '\n'.join(lines) + '\n'
