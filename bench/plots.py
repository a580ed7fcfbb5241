"""Plots of results: latency against rho, distributions, Gantt charts, replays, series."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axis import Axis  # noqa: E402
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: E402

import expectation  # noqa: E402
from intradp_ros.planning import picture  # noqa: E402
from intradp_ros.planning.plan import Setup  # noqa: E402
from methods import METHODS  # noqa: E402
from tables import latencies  # noqa: E402

Picture = tuple[str, Path]
COLOURS = dict(zip(METHODS, plt.cm.tab20(np.linspace(0, 1, len(METHODS)))))


def of_model(model: str, cells: Sequence[dict], calibration: dict | None, folder: Path,
             out: Path) -> list[Picture]:
    """Draw what the grid says of one model."""
    out.mkdir(parents=True, exist_ok=True)
    measured = [cell for cell in cells if 'figures' in cell]
    if not measured:
        return []
    made = [distributions(model, measured, out / f'{model}-cdf.png')]
    if len({cell['rho'] for cell in measured}) > 1:  # else there is no line to see
        made.insert(0, latency_against_rho(model, measured, out / f'{model}-rho.png'))
    profiles = [folder / path for path in (calibration or {}).get('profiles', ())]
    there = profiles and all(path.exists() for path in profiles)
    setup = expectation.setup(*profiles) if there else None
    for cell in measured:
        path = out / f'{model}-{cell["method"]}-gantt.png'
        if cell['rho'] == 1 and cell.get('expected') and \
                cell['method'] in ('offload', 'frontier') and (setup or path.exists()):
            made.append(gantt(setup, cell, path))
    return made


def latency_against_rho(model: str, cells: Sequence[dict], path: Path) -> Picture:
    """Draw medians with quartiles, the bound and D C / (D + C)."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for name in METHODS:
        mine = sorted((c for c in cells if c['method'] == name), key=lambda c: c['rho'])
        if mine:
            low, middle, high = np.array([
                np.percentile(latencies(c), (25, 50, 75)) for c in mine]).T
            axes.errorbar([c['rho'] for c in mine], middle, (middle - low, high - middle),
                          label=name, color=COLOURS[name], marker='o', markersize=4, capsize=2,
                          linewidth=2.5 if name in ('frontier', 'auto') else 1)
    limits = sorted({(c['rho'], c['exact_bound_ms'], c['parallel_ms']) for c in cells
                     if 'exact_bound_ms' in c})
    if limits:
        rhos, bounds, parallel = zip(*limits)
        axes.plot(rhos, bounds, 'k-', label='bound of any exact schedule')
        axes.plot(rhos, parallel, 'k:', label='D C / (D + C)')
    axes.set(xscale='log', yscale='log', xlabel='rho = C / D', ylabel='latency, ms', title=model)
    readable(axes.yaxis)
    measured = sorted({cell['rho'] for cell in cells})
    axes.set_xticks(measured, [f'{rho:g}' for rho in measured])
    axes.set_xticks([], minor=True)
    axes.legend(fontsize=7, ncols=2)
    return save(figure, path, f'{model}: latency against rho')


def readable(axis: Axis) -> None:
    """Have numbers on a logarithmic axis that people read: 50, 100, 200."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def distributions(model: str, cells: Sequence[dict], path: Path) -> Picture:
    """Draw the distribution of each method's latency, one chart a rho."""
    rhos = sorted({cell['rho'] for cell in cells})
    figure, charts = plt.subplots(1, len(rhos), figsize=(3.2 * len(rhos) + 1, 3.4),
                                  squeeze=False, sharey=True)
    for axes, rho in zip(charts[0], rhos):
        for cell in cells:
            if cell['rho'] == rho:
                times = np.sort(latencies(cell))
                axes.step(times, np.arange(1, len(times) + 1) / len(times), where='post',
                          label=cell['method'], color=COLOURS[cell['method']])
        axes.set(xscale='log', xlabel='latency, ms', title=f'rho {rho:g}')
        readable(axes.xaxis)
    charts[0][0].set_ylabel('share of frames')
    charts[0][-1].legend(fontsize=6, bbox_to_anchor=(1.02, 1), loc='upper left')
    return save(figure, path, f'{model}: distribution of latency')


def gantt(setup: Setup | None, cell: dict, path: Path) -> Picture:
    """
    Draw the frame of median latency beside what the timeline makes of such a frame.

    :param setup: None where the profiles are gone, which are not kept with results: then the
        picture stays that was drawn when they were there.
    """
    title = (f'{cell["model"]}, rho {cell["rho"]:g}: a frame of '
             f'{cell["method"]}, simulated and measured (measured: durations of its report; '
             "there is no common clock, so the edge's are put where they can be)")
    if setup is None:
        return title, path
    frame = cell['example']
    plan = expectation.plan_done(setup, frame['way'], frame['merge'], frame['tiles'],
                                 cell['rate'])
    simulated = plan.run(expectation.link(setup, cell['rate']))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.6), sharex=True, sharey=True)
    places = {'edge': 0, 'uplink': 1, 'device': 2}
    for span in simulated.spans:
        task = simulated.tasks[span.task]
        if task.resource in places:
            left.broken_barh([(span.begin * 1e3, (span.end - span.begin) * 1e3)],
                             (places[task.resource] - 0.4, 0.8), edgecolor='white')
    for resource, begin, length in measured_spans(frame):
        right.broken_barh([(begin, length)], (places[resource] - 0.4, 0.8), color='tab:orange')
    for axes, what in ((left, f'simulated: {simulated.latency * 1e3:.0f} ms'),
                       (right, f'measured: {frame["latency_ms"]:.0f} ms')):
        axes.set(yticks=list(places.values()), yticklabels=list(places), xlabel='ms',
                 title=f'{cell["method"]} ({frame["way"]}), {what}')
    return save(figure, path, title)


def measured_spans(report: dict) -> list[tuple[str, float, float]]:
    """
    Place the durations of a report (ms): the device's from the arrival of the image on, receiving
    right after preprocessing, and the edge's computing so that it ends with the frame.
    """
    begin, end = report['preprocess_ms'], report['latency_ms']
    spans = [('device', 0.0, begin), ('device', begin, report['device_ms'])]
    if report['edge_compute_ms']:
        receiving = report['edge_receive_ms']
        computing = min(report['edge_compute_ms'], end - begin)
        spans += [('uplink', begin, receiving), ('edge', end - computing, computing)]
    return [span for span in spans if span[2] > 0]


def of_replay(found: dict, out: Path) -> list[Picture]:
    """Draw bandwidth and each method's latency over the time of a trace."""
    out.mkdir(parents=True, exist_ok=True)
    figure, (top, axes) = plt.subplots(2, 1, figsize=(10, 5), sharex=True,
                                       height_ratios=(1, 2.5))
    times, rates = zip(*found['steps'])
    top.step(times, np.array(rates) / 1e6, where='post', color='black')
    top.set(ylabel='MB/s')
    for name, cell in found['methods'].items():
        if cell.get('points'):
            begins, latencies = zip(*cell['points'])
            axes.plot(begins, latencies, '.-', markersize=3, label=name, color=COLOURS[name],
                      linewidth=1.8 if name in ('frontier', 'auto') else 0.6)
    axes.axhline(found['deadline_ms'], color='grey', linestyle='--', linewidth=0.8)
    axes.set(yscale='log', xlabel='s', ylabel='latency, ms')
    axes.legend(fontsize=7, ncols=3)
    return [save(figure, out / f'replay-{found["model"]}-{found["trace"]}.png',
                 f'replay of {found["trace"]}')]


def of_scale(found: dict, out: Path) -> list[Picture]:
    """Draw latency and throughput over what was varied."""
    out.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(6, 3.6))
    chosen = [p for p in found['points'] if str(p['value']).startswith('server')]
    points = [p for p in found['points'] if p not in chosen]
    xs = [p['x'] for p in points]
    axes.plot(xs, [p['p50'] for p in points], 'o-', label='p50')
    axes.plot(xs, [p['p95'] for p in points], '^:', label='p95')
    for each in chosen:
        axes.plot(each['x'], each['p50'], '*', markersize=14, label='parameter server, p50')
    axes.set(xlabel=found['variable'], ylabel='latency, ms', ylim=(0, None))
    axes.set_xscale('log', base=2)
    axes.set_xticks(xs, [str(p['value']) for p in points], rotation=20)
    other = axes.twinx()
    other.plot(xs, [p['throughput'] for p in points], 's--', color='tab:green')
    other.set(ylabel='frames a second (green)', ylim=(0, None))
    axes.legend(fontsize=8, loc='lower center')
    return [save(figure, out / f'{found["name"]}.png', found['title'])]


def save(figure, path: Path, title: str) -> Picture:
    """Write a picture."""
    figure.tight_layout()
    figure.set_dpi(110)
    picture.save(figure, path)
    plt.close(figure)
    return title, path
