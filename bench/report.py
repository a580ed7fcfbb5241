"""
The report: tables and plots of what a folder of results holds. Measures nothing.

All but `write` is pure: results in, Markdown out.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import grid
import plots
import verdicts
from intradp_ros import files
from intradp_ros.planning.profile import Power
from methods import METHODS
from tables import agreement, latencies, latency, row
from testbed import spread

INTRODUCTION = """# Measured comparison

Written by `scripts/bench`; the JSON behind it lies beside it. Robot and edge are processes in two
network namespaces of one machine that talk over DDS (Fast DDS, UDP on the link); the robot has a
share of one core, the edge another core, the link is limited by `tc tbf` in both directions. The
next image is published when the detections of the last have been heard and a pause has passed:
nothing queues.

rho = C / D: time of the uint8 input on the link over time of the model on the robot. *Latency* is
from the arrival of the image at the device node to its detections (FrameReport); for
`compressed_topic`, whose node is on the edge, from before JPEG encoding on the robot to the
detections there. *Camera to listener* adds the image's own way between processes on the robot.
Medians with their 95 % interval (bootstrap: turns are drawn, then frames in them, so that it holds
what the machine's wandering makes of them).
"""
# Why figures are what they are: people write that, into the folder of the results.
NOTES = 'notes.md'
# Share of frames from which on a method is taken for what it did with them.
MOSTLY = 0.8


def write(folder: Path, path: Path) -> Path:
    """Write the report beside its plots."""
    cells = [grid.load(folder / 'cells', file.stem)
             for file in sorted((folder / 'cells').glob('*.json'))]
    parts = [head(grid.load(folder, 'host') or {})]
    models = list(dict.fromkeys(cell['model'] for cell in cells))
    pictures = path.parent / f'{path.stem.lower()}_plots'
    for model in models:
        mine = [cell for cell in cells if cell['model'] == model]
        calibration = grid.load(folder, f'calibration-{model}')
        parts += [section(model, mine, calibration), verdicts.table(mine), costs(mine)]
        parts += [f'![{title}]({os.path.relpath(file, path.parent)})\n'
                  for title, file in plots.of_model(model, mine, calibration, folder, pictures)]
    for name, render in (('replay', replay), ('scale', scale)):
        for file in sorted(folder.glob(f'{name}-*.json')):
            found = grid.load(folder, file.stem)
            parts.append(render(found))
            parts += [f'![{title}]({os.path.relpath(picture, path.parent)})\n'
                      for title, picture in getattr(plots, f'of_{name}')(found, pictures)]
    if (notes := folder / NOTES).exists():
        parts.append(notes.read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, '\n'.join(parts).encode())
    return path


def head(host: dict) -> str:
    """Say what this is and where it was measured."""
    facts = [row(name, ', '.join(map(str, value)) if isinstance(value, list) else value)
             for name, value in host.items()]
    return '\n'.join([INTRODUCTION, row('', ''), row('---', '---'), *facts, ''])


def section(model: str, cells: Sequence[dict], calibration: dict | None) -> str:
    """Give the table of medians by method and rho."""
    rhos = sorted({cell['rho'] for cell in cells})
    by_place = {(cell['method'], cell['rho']): cell for cell in cells}
    methods = [name for name in METHODS if any(cell['method'] == name for cell in cells)]

    def cell_text(method: str, rho: float) -> str:
        found = by_place.get((method, rho))
        if found is None:
            return ''
        if 'refused' in found:
            return 'not run'
        low, high = spread.interval(latencies(found), found.get('turns', 1))
        text = f'{latency(found)["p50"]:.0f} ({low:.0f}-{high:.0f})'
        best = min((latency(c)['p50'] for c in cells
                    if c['rho'] == rho and 'figures' in c and METHODS[c['method']].lossless),
                   default=math.inf)
        bold = METHODS[method].lossless and latency(found)['p50'] <= best
        return f'**{text}**' if bold else text
    lines = [f'## {model}', '']
    if calibration:
        lines += [f'D {calibration["device_ms"]:.1f} ms on the robot, '
                  f'{calibration["edge_ms"]:.1f} ms on the edge, input '
                  f'{calibration["input_bytes"] / 1e3:.0f} kB. From the start of a process to its '
                  f'node being active: {starts(calibration)}; until all had found each other '
                  f'{calibration["discovery_s"]:.1f} s more.', '']
    turns = {cell.get('turns', 1) for cell in cells if 'figures' in cell}
    lines += ['Median latency in ms by rho; the best lossless one is bold; * may be lossy.'
              + (f' Methods took turns, {min(turns)} at each rho.' if min(turns, default=1) > 1
                 else ''), '',
              row('method', *(f'{rho:g}' for rho in rhos)), row(*['---'] * (len(rhos) + 1))]
    for method in methods:
        star = '' if METHODS[method].lossless else ' *'
        lines.append(row(method + star, *(cell_text(method, rho) for rho in rhos)))
    for key, text in (('exact_bound_ms', 'bound of any exact schedule'),
                      ('parallel_ms', 'D C / (D + C)')):
        values = [next((c[key] for c in cells if c['rho'] == rho and key in c), math.nan)
                  for rho in rhos]
        lines.append(row(f'*{text}*', *(f'{v:.0f}' if math.isfinite(v) else '' for v in values)))
    if calibration:
        lines.append(row('*rho with the D of these frames*', *(
            f'{calibration["input_bytes"] / c["rate"] / latency(c)["p50"] * 1e3:.2f}'
            if (c := by_place.get(('local', rho))) and 'figures' in c else '' for rho in rhos)))
    alike = {rho: [latency(c)['p50'] for c in cells if c['rho'] == rho and local_only(c)]
             for rho in rhos}
    if any(len(values) > 1 for values in alike.values()):
        lines.append(row('*local inference, whoever chose it*', *(
            f'{min(v):.0f}-{max(v):.0f}' if len(v) > 1 else '' for v in alike.values())))
    refused = {cell['method']: cell['refused'] for cell in cells if 'refused' in cell}
    lines += ['', *(f'- not run: {name}: {why}' for name, why in refused.items()), '']
    return '\n'.join(lines)


def local_only(cell: dict) -> bool:
    """
    Whether nearly all frames were local inference on the robot: methods of which that holds differ
    by what the machine did meanwhile, and by their planning.
    """
    if 'figures' not in cell or METHODS[cell['method']].remote:
        return False
    modes = cell['figures']['modes']
    return sum(n for how, n in modes.items() if how.endswith(('local/device', '(local)/device'))) \
        >= MOSTLY * sum(modes.values())


def carried(method: str, figures: dict) -> tuple[str, str, str]:
    """
    Give three columns: kB that a frame's messages carry, kB that crossed the link, and frames by
    mode. A topic of images has no messages of ours, and what its node calls local is the edge.
    """
    crossed = f'{figures["link_bytes_per_frame"]["up"] / 1e3:.0f}'
    if METHODS[method].remote:
        return '', crossed, f'whole model on the edge {figures["frames"]}'
    return (f'{figures["bytes_per_frame"] / 1e3:.0f}', crossed,
            ', '.join(f'{how} {frames}' for how, frames in figures['modes'].items()))


def starts(calibration: dict) -> str:
    """Say how long each node took to start."""
    return ', '.join(f'{name} {seconds:.1f} s'
                     for name, seconds in calibration['start_s'].items())


def joules(cell: dict, power: Power) -> float:
    """
    Give the robot's energy for the frame of median figures, by the power model (planning.profile).

    It idles, and on top of that computes for `device_ms` and sends for as long as what crossed
    takes at the link's rate.
    """
    figures = cell['figures']
    sending = figures['link_bytes_per_frame']['up'] / cell['rate']
    return (power.idle * latency(cell)['p50'] / 1e3
            + (power.compute - power.idle) * figures['stages_ms']['device_ms'] / 1e3
            + (power.send - power.idle) * sending)


def costs(cells: Sequence[dict]) -> str:
    """Give the table of what each cell cost, delivered and found."""
    lines = ['Robot and edge below are the node at work there; for `compressed_topic` the robot '
             'is the process that encodes the images. Joules are those of the power model of '
             'planning.profile.Power, not measured. Differing: frames whose detections are not '
             "those of the whole model on the camera's image; in brackets the mAP@[.5:.95] of a "
             "lossy method's, with the whole model's taken for the truth.", '',
             '<details><summary>Every cell: spread, bytes, processor time, memory, messages'
             '</summary>', '',
             row('method', 'rho', 'frames', 'p50', 'p95', 'p99', 'camera to listener p50',
                 'expected', 'kB a frame', 'kB on the link', 'robot CPU ms', 'edge CPU ms',
                 'robot J', 'peak MB robot/edge', 'modes', 'missing/twice/late', 'differing'),
             row(*['---'] * 17)]
    for cell in sorted(cells, key=lambda c: (c['rho'], list(METHODS).index(c['method']))):
        if 'figures' not in cell:
            continue
        figures, times = cell['figures'], latency(cell)
        cpu, memory = figures['cpu_ms_per_frame'], figures['peak_memory']
        remote = METHODS[cell['method']].remote
        robot, edge = ('driver0', 'device0') if remote else ('device0', 'edge')
        expected = cell.get('expected')
        sent, crossed, modes = carried(cell['method'], figures)
        lines.append(row(
            cell['method'], f'{cell["rho"]:g}', figures['frames'],
            *(f'{times[p]:.0f}' for p in ('p50', 'p95', 'p99')),
            f'{figures["round_trip_ms"]["p50"]:.0f}',
            f'{expected["latency_ms"]:.0f} {expected["way"]}' if expected else '',
            sent, crossed, f'{cpu.get(robot, 0):.0f}', f'{cpu.get(edge, 0):.0f}',
            '' if remote else f'{joules(cell, Power()):.2f}',
            f'{memory.get(robot, 0) / 1e6:.0f}/{memory.get(edge, 0) / 1e6:.0f}',
            modes,
            f'{figures["missing"]}/{figures["duplicated"]}/{figures["reordered"]}',
            f'{cell["differing"]}' + (f' ({agreement(cell)})' if agreement(cell) else '')))
    return '\n'.join([*lines, '', '</details>', ''])


def replay(found: dict) -> str:
    """Give the table of one trace."""
    lines = [f'## Replay: {found["trace"]} ({found["model"]})', '',
             f'{found["seconds"]:.0f} s, mean {found["mean_rate"] / 1e6:.1f} MB/s, deadline '
             f'{found["deadline_ms"]:.0f} ms. Percentiles are weighted by time: a frame counts '
             'for as long as it was the newest, or slow methods would have few slow frames. '
             'Regret: mean over the seconds of the trace of its latency less that of the method '
             'that was best in that second, among those that do not adapt.', '',
             row('method', 'frames', 'mean', 'p50', 'p95', 'p99', 'misses', 'kB a frame',
                 'kB on the link', 'regret ms', 'modes', 'missing/twice/late'),
             row(*['---'] * 12)]
    for name, cell in found['methods'].items():
        if 'refused' in cell:
            lines.append(row(name, f'not run: {cell["refused"]}', *[''] * 10))
            continue
        times = cell['weighted_ms']
        figures = cell['figures']
        sent, crossed, modes = carried(name, figures)
        lines.append(row(
            name, figures['frames'], *(f'{times[p]:.0f}' for p in ('mean', 'p50', 'p95', 'p99')),
            f'{figures["deadline_misses"]}', sent, crossed, f'{cell["regret_ms"]:.1f}', modes,
            f'{figures["missing"]}/{figures["duplicated"]}/{figures["reordered"]}'))
    for measure, text in (('weighted_ms', ''),
                          ('camera_to_listener_ms', ', all from camera to listener')):
        late = {name: cell[measure]['p95'] for name, cell in found['methods'].items()
                if measure in cell}
        single = [name for name in late if not METHODS[name].adaptive]
        if 'auto' in late and single:
            best = min(single, key=late.__getitem__)
            ratio = late['auto'] / late[best]
            lines += ['', f'p95 of `auto` / p95 of the best single method ({best}){text}: '
                      f'{ratio:.2f}; asked: at most 0.80, '
                      f'{"holds" if ratio <= 0.8 else "**does not hold**"}.']
    begun = [cell['begun'] for cell in found['methods'].values() if 'begun' in cell]
    if begun:
        lines += ['', f'Between the first and the last of these replays lay '
                  f'{(max(begun) - min(begun)) / 60:.0f} minutes.']
    return '\n'.join([*lines, ''])


def scale(found: dict) -> str:
    """Give the table of one series: robots, tiles or input sizes."""
    lines = [f'## {found["title"]}', '', found['text'], '',
             row(found['variable'], 'p50', 'p95', 'frames a second', 'kB a frame', 'note'),
             row(*['---'] * 6)]
    for point in found['points']:
        lines.append(row(point['value'], f'{point["p50"]:.0f}', f'{point["p95"]:.0f}',
                         f'{point["throughput"]:.2f}', f'{point["bytes"] / 1e3:.0f}',
                         point.get('note', '')))
    return '\n'.join([*lines, ''])
