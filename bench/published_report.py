"""The report of bench/published.py: its results as Markdown and as a picture."""

from pathlib import Path

import matplotlib

from intradp_ros.planning import picture

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

TARGET = 0.15  # relative error of a good prediction


def markdown(results: list[dict]) -> str:
    """The tables of the report."""
    lines = ['Simulated against published latency (medians, indoors), relative error as median '
             'over bandwidths.', '',
             '| model | constant ms | offload | intra_dp | within 15 % | launch share | intra_dp '
             'with it |', '|---|--:|--:|--:|---|--:|--:|']
    for r in results:
        good = [name for name, e in r['error'].items() if e <= TARGET]
        lines.append(f"| {r['model']} | {r['constant_ms']:.0f} | {r['error']['offload']:.0%} | "
                     f"{r['error']['intra_dp']:.0%} | {', '.join(good) or 'neither'} | "
                     f"{r['launch_share']:.2f} | {r['error_with_launches']:.0%} |")
    lines += ['', 'Published Intra-DP against the ways of this package on the same profiles, '
              'uint8 input, this transport; ms, with and without the launch share. `frontier` is '
              'what the planner chooses; `intra_dp` the shares without halo (inexact) on this '
              'transport; ratio is ours to published.']
    for title, label in (('Without launch share', 'ours'),
                         ('With it, known to the planners', 'ours_with_launches')):
        lines += ['', f'{title}:', '',
                  '| model | MB/s | published | ours | ratio | way | frontier | intra_dp |',
                  '|---|--:|--:|--:|--:|---|--:|--:|']
        for r in results:
            for f in r['frontier']:
                ours = f[label]
                lines.append(
                    f"| {r['model']} | {f['MB/s']} | {f['published']:.0f} | {ours:.1f} | "
                    f"{ours / f['published']:.2f} | {f[f'{label}_way']} | "
                    f"{f[f'{label}_frontier']:.1f} | {f[f'{label}_intra_dp']:.1f} |")
    for r in results:
        for f in r['frontier']:
            if 'result_in_bands' in f:
                lines += ['', f"{r['model']} returns a map as large as its input. If that came "
                          f"down in bands (not done here), streamed offload at {f['MB/s']} MB/s "
                          f"would take {f['result_in_bands']:.0f} ms, "
                          f"{f['result_in_bands'] / f['published']:.2f} of published."]
    lines += ['', 'Where the plain prediction of intra_dp is off by more than 15 %: ratio of '
              'simulated to published, and what the simulated planner chose.', '',
              '| model | MB/s | ratio | chosen |', '|---|--:|--:|---|']
    for r in results:
        lines += [f"| {r['model']} | {b} | {ratio:.2f} | {r['way'][b]} |"
                  for b, ratio in r['ratio'].items() if abs(ratio - 1) > TARGET]
    return '\n'.join(lines) + '\n'


def draw(results: list[dict], path: Path) -> None:
    """One panel a model: published points, simulated lines."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), dpi=110, constrained_layout=True)
    for ax, r in zip(axes.flat, results):
        for name, colour in (('offload', '#4c78a8'), ('intra_dp', '#f58518')):
            curve = r['published_ms'][name]
            ax.plot(curve.keys(), curve.values(), 'o', ms=4, color=colour,
                    label=f'{name}, published')
            curve = r['simulated_ms'][name]
            ax.plot(curve.keys(), curve.values(), color=colour, label=f'{name}, simulated')
        curve = r['simulated_ms']['intra_dp with launches']
        ax.plot(curve.keys(), curve.values(), '--', color='#f58518',
                label='intra_dp, simulated, launch share fitted')
        ax.axhline(r['local_ms']['published'], color='#888888', lw=1, label='local, published')
        ax.set(title=f"{r['model']} (launch share {r['launch_share']:.2f})", xlabel='MB/s',
               ylabel='ms', yscale='log')
        ax.grid(alpha=0.3, which='both')
    axes.flat[0].legend(fontsize=8)
    picture.save(figure, path)
    plt.close(figure)
