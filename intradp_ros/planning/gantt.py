"""Gantt charts of simulated frames: who did what, when."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from intradp_ros.planning import picture
from intradp_ros.planning.timeline import RESOURCES, Task, Timeline

# Colours of Okabe and Ito (2008), which colour-blind people can tell apart.
COLOURS = {
    'preprocess': '#999999', 'encode': '#E69F00', 'band': '#0072B2', 'raw': '#D55E00',
    'hedge': '#F0E442', 'rest': '#009E73', 'postprocess': '#555555', 'detections': '#CC79A7',
}
MEANING = {
    'preprocess': 'preprocess', 'encode': 'encode', 'band': 'rows of the merge tensor',
    'raw': 'rows of the input', 'hedge': 'hedge: local result', 'rest': 'the rest of the model',
    'postprocess': 'postprocess', 'detections': 'detections',
}


@dataclass(frozen=True)
class Chart:
    """
    One frame to draw; `bound` in seconds, 0 for none.

    `inputs` are first words of labels that stand for rows of the input, beside 'raw'.
    """

    title: str
    frame: Timeline
    bound: float = 0.0
    inputs: tuple[str, ...] = ()


def kind(task: Task, inputs: Sequence[str] = ()) -> str:
    """Say what a task is for, one of `COLOURS`: by the first word of its label, or its place."""
    word = task.label.split(' ')[0]
    if word in inputs:
        return {'uplink': 'raw', 'device': 'encode'}.get(task.resource, 'rest')
    if word in COLOURS:
        return word
    if word == 'head' or task.resource == 'uplink':
        return 'band'
    return 'detections' if task.resource == 'downlink' else 'rest'


def draw(charts: Sequence[Chart], path: Path) -> None:
    """
    Write a picture with one chart for each frame, all on the same scale.

    :raises ParameterError: when the file cannot be written, or has the suffix of no format.
    """
    # Matplotlib takes a second to import, and only pictures need it.
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = 1 if len(charts) == 1 else 2
    lines = -(-len(charts) // columns)
    height = 1.0 + 1.75 * lines
    figure = Figure(figsize=(8.4 if columns == 1 else 13, height), dpi=110, layout='constrained')
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    shown: set[str] = set()
    for axis, chart in zip(axes, charts):
        shown |= _draw_one(axis, chart)
    for axis in axes[len(charts):]:
        axis.set_visible(False)
    ends = [c.frame.latency for c in charts if isfinite(c.frame.latency)]
    axes[0].set_xlim(0, 1.14e3 * max(ends, default=1.0))
    for axis in axes[max(0, len(charts) - columns):len(charts)]:
        axis.tick_params(labelbottom=True)
        axis.set_xlabel('time since the image [ms]')
    handles = [Patch(facecolor=COLOURS[k], label=MEANING[k]) for k in COLOURS if k in shown]
    figure.legend(handles=handles, loc='outside upper center', fontsize=8, frameon=False,
                  ncols=min(len(handles), 4 if columns == 1 else 8))
    picture.save(figure, path)


def _draw_one(axis, chart: Chart) -> set[str]:
    """Draw one frame; give the kinds of tasks in it."""
    frame, shown = chart.frame, set()
    end = frame.latency if isfinite(frame.latency) else max(
        (s.end for s in frame.spans if isfinite(s.end)), default=1.0)
    for span in frame.spans:
        task = frame.tasks[span.task]
        width = min(span.end, end) - span.begin
        if width <= 0:
            continue
        shown.add(kind(task, chart.inputs))
        axis.barh(RESOURCES.index(task.resource), 1e3 * width, left=1e3 * span.begin, height=0.72,
                  color=COLOURS[kind(task, chart.inputs)], edgecolor='white',
                  linewidth=0.5 if width > 0.01 * end else 0)
    busy = '  '.join(f'{r} {frame.busy(r) / end:.0%}' for r in RESOURCES[:3])
    axis.set_title(chart.title, fontsize=9, loc='left', fontweight='bold')
    axis.set_title(f'busy: {busy}', fontsize=7.5, loc='right', color='#555555')
    axis.set_yticks(range(len(RESOURCES)), RESOURCES, fontsize=8.5)
    axis.set_ylim(len(RESOURCES) - 0.45, -0.55)
    axis.tick_params(axis='x', labelsize=8)
    axis.tick_params(axis='y', length=0)
    axis.spines[['top', 'right', 'left']].set_visible(False)
    if chart.bound:
        axis.axvline(1e3 * chart.bound, color='black', linewidth=1.1, linestyle=(0, (4, 3)))
        axis.annotate(f'bound {1e3 * chart.bound:.1f}', (1e3 * chart.bound, 3.4), fontsize=7.5,
                      xytext=(-3, 0), textcoords='offset points', ha='right', va='bottom')
    if isfinite(frame.latency):
        axis.axvline(1e3 * end, color='black', linewidth=1.4)
        axis.annotate(f'{1e3 * end:.1f} ms', (1e3 * end, 0), fontsize=8.5, fontweight='bold',
                      xytext=(4, 0), textcoords='offset points', va='center')
    else:
        axis.annotate('never ends', (1e3 * end, 0), fontsize=8.5, fontweight='bold')
    return shown
