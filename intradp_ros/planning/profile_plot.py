"""A picture of a profile: seconds by band height of the operators that cost most."""

from pathlib import Path

from intradp_ros.planning import picture
from intradp_ros.planning.profile import Profile


def costliest(profile: Profile, count: int) -> list[int]:
    """Operators by the time they take as a whole, the costliest first."""
    return sorted(range(len(profile.whole)), key=lambda i: -profile.whole[i])[:count]


def plot(profile: Profile, path: Path, count: int = 8) -> None:
    """
    Draw the staircases: milliseconds over the share of the rows in one call.

    :raises ParameterError: when the file cannot be written, or has the suffix of no format.
    """
    # Matplotlib takes a second to import, and only pictures need it.
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5), dpi=120, layout='constrained')
    axes = figure.subplots()
    for i in costliest(profile, count):
        operator, steps = profile.graph.operators[i], profile.seconds[i]
        rows = profile.graph.tensors[operator.output].rows
        axes.plot([r / rows for r in steps.rows], [1e3 * s for s in steps.seconds], 'o-',
                  label=f'{operator.name} ({operator.kind}, {rows} rows)')
    axes.set(xlabel='share of the rows in one call', ylabel='ms', xlim=(0, 1.02), ylim=(0, None),
             title=f'{profile.model} on {profile.processor}, threads: {profile.threads}')
    axes.legend(fontsize='small')
    axes.grid(alpha=0.3)
    picture.save(figure, path)
