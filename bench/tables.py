"""What tables of the report are made of."""

import math

from methods import METHODS


def row(*values: object) -> str:
    """Format a row of a table."""
    return '| ' + ' | '.join(map(str, values)) + ' |'


def latency(cell: dict) -> dict[str, float]:
    """Give a cell's latency figures (the report's introduction says what is measured)."""
    return cell['figures']['round_trip_ms' if METHODS[cell['method']].remote else 'latency_ms']


def latencies(cell: dict, to_listener: bool = False) -> list[float]:
    """
    Give the latencies of a cell's frames, whose percentiles are `latency`.

    :param to_listener: from the camera to whoever listens, of those whose detections were heard.
    """
    if to_listener:
        return [frame[2] for frame in cell['frames'] if not math.isnan(frame[2])]
    return [frame[2 if METHODS[cell['method']].remote else 1] for frame in cell['frames']]


def agreement(cell: dict) -> str:
    """Say what lossy detections are worth if the whole model's are the truth."""
    value = cell.get('agreement')
    return '' if value is None else f'{value:.3f}'
