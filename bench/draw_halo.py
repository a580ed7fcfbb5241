"""Draw doc/images/halo.png: halo, wavefront and merge, from rules of a real small network."""

import argparse
from pathlib import Path

import matplotlib
import torch
from torch import nn

from intradp_ros.model.capture import capture
from intradp_ros.model.graph import Graph, rows_needed
from intradp_ros.planning import picture
from intradp_ros.tiling.engine import Engine

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

BLUE, ORANGE, GREEN, GREY = '#4c78a8', '#f58518', '#54a24b', '#e4e4e4'


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 1, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, 2, 1),
    ).eval()


def draw_rows(ax, column: int, rows: int, color_of) -> None:
    height = 1 / rows
    for r in range(rows):
        ax.add_patch(
            plt.Rectangle(
                (column, 1 - (r + 1) * height),
                0.7,
                height,
                facecolor=color_of(r),
                edgecolor='white',
                linewidth=0.7,
            )
        )


def tidy(ax, graph: Graph, title: str) -> None:
    ax.set_xlim(-0.1, len(graph.tensors) - 0.2)
    ax.set_ylim(-0.12, 1.03)
    for t in graph.tensors:
        kind = (
            'input' if t.id == 0 else graph.operators[t.id - 1].kind.replace('convolution', 'conv')
        )
        ax.text(t.id + 0.35, -0.05, f'{kind}\n{t.rows} rows', ha='center', va='top', fontsize=7)
    ax.set_title(title, fontsize=9)
    ax.axis('off')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--output', type=Path, default='doc/images/halo.png')
    output = parser.parse_args().output
    image = torch.rand(1, 3, 32, 8)
    graph = capture(network(), image)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), dpi=110)
    last = graph.tensors[-1]
    a, b = last.rows // 2, last.rows
    for t in graph.tensors:
        p, q = rows_needed(graph, last.id, a, b, t.id)
        share = t.rows // 2

        def halo_color(r, p=p, q=q, share=share):
            return GREY if not p <= r < q else ORANGE if r < share else BLUE

        draw_rows(axes[0], t.id, t.rows, halo_color)
    tidy(
        axes[0],
        graph,
        'Halo: the lower half (blue) of the last tensor\nneeds more than the lower half (orange)',
    )
    engine = Engine(graph, least_rows=[1] * len(graph.operators))
    frame = engine.start(keep=[t.id for t in graph.tensors])
    made: dict[tuple[int, int], int] = {}
    for band, (p, q) in enumerate([(0, 12), (12, 22), (22, 32)]):
        before = {t.id: frame.ready(t.id) for t in graph.tensors}
        frame.feed(0, p, q, image[:, :, p:q])
        for t in graph.tensors:
            for start, end in frame.ready(t.id):
                for r in range(start, end):
                    if not any(x <= r < y for x, y in before[t.id]):
                        made[t.id, r] = band
    for t in graph.tensors:
        draw_rows(
            axes[1], t.id, t.rows, lambda r, t=t: (BLUE, ORANGE, GREEN)[made.get((t.id, r), 0)]
        )
    tidy(
        axes[1],
        graph,
        'Wavefront: rows that became computable with\nthe first, second and third band',
    )
    merge = graph.tensors[2]
    middle = merge.rows // 2
    device = rows_needed(graph, merge.id, 0, middle)
    edge = rows_needed(graph, merge.id, middle, merge.rows)
    for t in graph.tensors:

        def side(r, t=t):
            if t.id > merge.id:
                return GREEN
            if t.id == merge.id:
                return BLUE if r < middle else GREEN
            low = rows_needed(graph, merge.id, 0, middle, t.id)
            high = rows_needed(graph, merge.id, middle, merge.rows, t.id)
            on_device, on_edge = low[0] <= r < low[1], high[0] <= r < high[1]
            return ORANGE if on_device and on_edge else BLUE if on_device else GREEN

        draw_rows(axes[2], t.id, t.rows, side)
    tidy(
        axes[2],
        graph,
        f'Merge at {graph.operators[merge.id - 1].kind}: device (blue) '
        f'{device[1]} input rows,\nedge (green) {edge[1] - edge[0]}; the halo (orange) on both',
    )
    figure.tight_layout()
    output.parent.mkdir(parents=True, exist_ok=True)
    picture.save(figure, output)


if __name__ == '__main__':
    main()
