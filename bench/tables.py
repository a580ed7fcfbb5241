"""What tables of the report are made of."""

from methods import METHODS


def row(*values: object) -> str:
    """Format a row of a table."""
    return '| ' + ' | '.join(map(str, values)) + ' |'


def latency(cell: dict) -> dict[str, float]:
    """Give a cell's latency figures (the report's introduction says what is measured)."""
    remote = METHODS[cell['method']].topology == 'remote'
    return cell['figures']['round_trip_ms' if remote else 'latency_ms']


def agreement(cell: dict) -> str:
    """Say what lossy detections are worth if the whole model's are the truth."""
    value = cell.get('agreement')
    return '' if value is None else f'{value:.3f}'
