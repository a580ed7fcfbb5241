"""Latency against bandwidth, of several planners: figures, and the picture of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, isfinite, log
from pathlib import Path

from intradp_ros.errors import ParameterError
from intradp_ros.planning import picture
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Planner, Setup

# Colours of Okabe and Ito (2008), which colour-blind people can tell apart, and what tells lines
# apart in print.
STYLES = (('#999999', 's'), ('#E69F00', 'D'), ('#CC79A7', 'P'), ('#56B4E9', '^'), ('#0072B2', 'v'),
          ('#F0E442', 'X'), ('#009E73', '<'), ('#8B5A2B', '>'), ('#D55E00', 'h'))


@dataclass(frozen=True)
class Sweep:
    """
    Seconds of a frame by planner, for links of some bandwidths (bytes a second).

    `equal` is the bandwidth at which sending the input takes as long as computing the model on
    the device (rho = C/D = 1). `inexact` are planners that made an inexact plan for some link:
    the bound does not hold for them.
    """

    bandwidths: tuple[float, ...]
    latencies: Mapping[str, Sequence[float]]
    bound: Sequence[float]
    equal: float
    inexact: frozenset[str] = frozenset()


def bandwidths(first: float, last: float, points: int = 33) -> tuple[float, ...]:
    """
    Give bandwidths from first to last, evenly spaced on a logarithmic scale.

    :raises ParameterError: when they do not ascend from above 0.
    """
    if not 0 < first < last or not isfinite(last):
        raise ParameterError(f'a sweep goes from a bandwidth above 0 to a larger one, got '
                             f'{first / 1e6:g} to {last / 1e6:g} MB/s')
    step = log(last / first) / (points - 1)
    return tuple(first * exp(step * i) for i in range(points))


def sweep(setup: Setup, planners: Mapping[str, Planner], over: Iterable[float], link: Link,
          objective: Objective, bound: Callable[[Link], float]) -> Sweep:
    """
    Let every planner plan for every bandwidth, which it knows; all else is as in `link`.

    :param over: bandwidths in bytes a second; a progress bar may be wrapped around them.
    """
    found: dict[str, list[float]] = {name: [] for name in planners}
    bounds, seen, inexact = [], [], set()
    for bandwidth in over:
        here = replace(link, bandwidth=bandwidth)
        seen.append(bandwidth)
        bounds.append(bound(here))
        for name, planner in planners.items():
            plan = planner(setup, here, objective)
            found[name].append(plan.run(here).latency)
            if not plan.exact:
                inexact.add(name)
    return Sweep(tuple(seen), found, bounds, setup.input_bytes / setup.device.total,
                 frozenset(inexact))


def draw(result: Sweep, title: str, path: Path) -> None:
    """
    Write a picture: latency against bandwidth, both logarithmic, the bound as a dashed line.

    :raises ParameterError: when the file cannot be written, or has the suffix of no format.
    """
    # Matplotlib takes a second to import, and only pictures need it.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(8.4, 5.2), dpi=120, layout='constrained')
    axis = figure.subplots()
    rates = [b / 1e6 for b in result.bandwidths]
    axis.fill_between(rates, 0, [1e3 * b for b in result.bound], color='#eeeeee', linewidth=0)
    axis.plot(rates, [1e3 * b for b in result.bound], color='black', linestyle=(0, (5, 3)),
              linewidth=1.6, label='bound', zorder=3)
    # Ours in black on top of all, the others in the order in which they come.
    names = [n for n in result.latencies if n != 'frontier']
    for number, name in enumerate(names):
        colour, marker = STYLES[number % len(STYLES)]
        inexact = name in result.inexact
        axis.plot(rates, [1e3 * t for t in result.latencies[name]], color=colour, linewidth=1.5,
                  linestyle=(0, (1, 1)) if inexact else '-', marker=marker, markersize=4.5,
                  markevery=(number % 4, 4), markeredgecolor='#444444', markeredgewidth=0.4,
                  label=f'{name} (inexact)' if inexact else name)
    if 'frontier' in result.latencies:
        axis.plot(rates, [1e3 * t for t in result.latencies['frontier']], color='black',
                  linewidth=2.4, label='frontier', zorder=4)
    axis.set_xscale('log')
    axis.set_yscale('log')
    axis.set_xlim(rates[0], rates[-1])
    times = [1e3 * t for line in result.latencies.values() for t in line if isfinite(t)]
    # Offload on the slowest link would leave the rest no room.
    most = [1e3 * max(t for t in line if isfinite(t)) for line in result.latencies.values()
            if any(map(isfinite, line))]
    low = 1e3 * min(result.bound)
    axis.set_ylim(0.8 * low, max(1.5 * low, min(max(times, default=1), 4 * min(most, default=1))))
    plain = FuncFormatter(lambda value, _: f'{value:g}')
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(subs=(1, 2, 5)))
        side.set_major_formatter(plain)
        side.set_minor_formatter(NullFormatter())
    if rates[0] < result.equal / 1e6 < rates[-1]:
        axis.axvline(result.equal / 1e6, color='#777777', linewidth=1, linestyle=':')
        axis.annotate(' C = D', (result.equal / 1e6, 0.99), xycoords=axis.get_xaxis_transform(),
                      fontsize=9, color='#555555', va='top')
    axis.grid(True, which='major', color='#dddddd', linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_xlabel('bandwidth [MB/s]')
    axis.set_ylabel('latency of a frame [ms]')
    axis.set_title(title, fontsize=10, loc='left')
    axis.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside right upper', fontsize=9, frameon=False)
    picture.save(figure, path)
