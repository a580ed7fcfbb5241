"""Show how models split: exactness, halo, cost of bands, memory, natural bottlenecks."""

import argparse
import gc
import json
import logging
import sys
from collections.abc import Callable

import torch
from tqdm import tqdm

from intradp_ros.errors import IntraDPError
from intradp_ros.model import registry
from intradp_ros.model.detector import parse_size
from intradp_ros.tiling.survey import survey

log = logging.getLogger(__name__)
KNOWN = [
    'mobilenet_v2',
    'mobilenet_v3_large',
    'efficientnet_b0',
    'resnet50',
    'vgg19',
    'densenet121',
    'convnext_tiny',
    'ssdlite320_mobilenet_v3_large',
    'retinanet_resnet50_fpn',
    'fcos_resnet50_fpn',
]
MOST_WEIGHT_BYTES = 4e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `intradp models`."""
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='torchvision builders; default: ten well-known ones',
    )
    parser.add_argument(
        '--all',
        action='store_true',
        help='every classification, segmentation and detection builder',
    )
    parser.add_argument(
        '--bands',
        type=int,
        default=8,
        metavar='N',
        help='bands of the wavefront that is timed (default %(default)s)',
    )
    parser.add_argument(
        '--size',
        default='640x480',
        metavar='WxH',
        help='input size in pixels of models that leave it free (default %(default)s)',
    )
    parser.add_argument(
        '--repeat',
        type=int,
        default=3,
        metavar='N',
        help='times are medians of N runs (default %(default)s)',
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        metavar='N',
        help='threads of torch (default %(default)s)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON and nothing else')


def run(args: argparse.Namespace) -> int:
    """Print the table, one row a model; 1 when a model is not exact or cannot be captured."""
    torch.set_num_threads(args.threads)
    names = registry.names() if args.all else args.names or KNOWN
    size = parse_size(args.size)
    rows = []
    with tqdm(names, unit='model', disable=not sys.stderr.isatty(), file=sys.stderr) as progress:
        for name in progress:
            progress.set_postfix_str(name)
            row = measure(name, size, args.bands, args.repeat)
            rows.append(row)
            if not args.json:
                for line in ([HEADER] if len(rows) == 1 else []) + lines(row):
                    progress.write(line, file=sys.stdout)
            gc.collect()
    if args.json:
        print(json.dumps(rows, indent=1))
    return 0 if all(r['status'] == 'ok' or r['status'].startswith('skipped') for r in rows) else 1


def measure(name: str, size: tuple[int, int], bands: int, repeat: int) -> dict:
    """Build and measure one model; one that fails gives a row that says why."""
    weight_bytes = registry.weight_bytes(name)
    if weight_bytes > MOST_WEIGHT_BYTES:
        return {'model': name, 'status': f'skipped: {weight_bytes / 1e9:.1f} GB of weights'}
    try:
        return survey(registry.build(name, size), bands, repeat=repeat)
    except Exception as error:  # One broken model must not hide the others.
        if not isinstance(error, IntraDPError):
            log.exception(name)
        text = str(error).strip().split('\n')[0]
        return {'model': name, 'status': f'failed: {type(error).__name__}: {text}'}


COLUMNS: list[tuple[str, str, Callable[[dict], str]]] = [
    ('model', '<30', lambda r: r['model']),
    ('ops', '>4', lambda r: str(r['operators'])),
    ('local', '>5', lambda r: str(r['local'])),
    ('global', '>6', lambda r: str(r['global'])),
    ('mac%', '>5', lambda r: f'{100 * r["local_mac_share"]:.1f}'),
    ('error', '>7', lambda r: f'{r["max_rel_error"]:.1e}'),
    ('wave', '>5', lambda r: f'{r["wavefront_ratio"]:.2f}'),
    ('half', '>5', lambda r: '-' if r['half_ratio'] is None else f'{r["half_ratio"]:.2f}'),
    ('peak', '>5', lambda r: f'{r["peak_ratio"]:.2f}'),
    (
        'halo at rows',
        '<26',
        lambda r: ' '.join(f'{c["halo"]}@{c["rows"]}' for c in r['halos'][-4:]),
    ),
    (
        'bottlenecks: mac share/bytes',
        '<29',
        lambda r: (
            ' '.join(f'{c["mac_share"]:.2f}/{c["byte_ratio"]:.2f}' for c in r['bottlenecks'][:3])
            or '-'
        ),
    ),
    ('status', '<0', lambda r: r['status']),
]
HEADER = '  '.join(f'{title:{form}}' for title, form, _ in COLUMNS)


def lines(row: dict) -> list[str]:
    """Format one row of the table."""
    if 'operators' not in row:
        return [f'{row["model"]:<30}  {row["status"]}']
    return ['  '.join(f'{cell(row):{form}}' for _, form, cell in COLUMNS)]
