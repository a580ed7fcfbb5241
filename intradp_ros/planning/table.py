"""
Profiles from a table of operators that something else measured.

Columns: `op` (number), `kind`, `inputs` and `outputs` (numbers of operators, space separated),
`output_shapes` (`1x64x112x112`, several separated by `;`), `split_dim` (the dimension that a band
is cut from; `None` for an operator that needs all rows), `device_ms`, `server_ms`. The first row
is the model's input; the last may be `_end`, whose inputs are the outputs.

Such a table has no geometry. What a row needs is taken to be its share of the input (halo 0), and
a band to take its share of the whole's time.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path

import torch

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import WHOLE, Graph, Layout, Need, Operator, Tensor
from intradp_ros.planning import skeleton
from intradp_ros.planning.profile import Profile, Staircase

NOTE = ('imported from a table without geometry: halo taken as 0, time of a band as its share of '
        'the whole')
COLUMNS = ('op', 'kind', 'inputs', 'outputs', 'output_shapes', 'split_dim', 'device_ms',
           'server_ms')
# Operators that can overwrite their input. Those whose name ends in _ always do.
IN_PLACE = {'relu', 'relu6', 'hardtanh', 'hardswish', 'silu', 'leaky_relu', 'elu', 'dropout'}


@dataclass(frozen=True)
class Row:
    """One line of the table, checked."""

    op: int
    kind: str
    inputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    split_dim: int | None
    seconds: tuple[float, float]
    """On the device and on the server."""


def read_table(path: str | Path, input_dtype: str = 'float32') -> tuple[Profile, Profile]:
    """
    Read the profiles of the device and of the edge.

    :param input_dtype: torch's name of the input's type; all other tensors are float32.
    :raises ParameterError: when the file cannot be read or a row of it cannot be, with its line.
    """
    path = Path(path)
    dtype = getattr(torch, input_dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ParameterError(f"input dtype {input_dtype!r} is none of torch's")
    rows = _read(path)
    body = [r for r in rows[1:] if r.kind != '_end']
    graph = _graph(rows, body, dtype)

    def profile(side: int) -> Profile:
        staircases = tuple(
            Staircase((graph.tensors[o.output].rows,), (row.seconds[side],))
            for o, row in zip(graph.operators, body))
        return Profile(path.stem, graph.fingerprint, 'table',
                       f'{COLUMNS[6 + side]} of {path.name}', 1, graph, staircases,
                       has_geometry=False, note=NOTE)

    return profile(0), profile(1)


def _read(path: Path) -> list[Row]:
    try:
        with path.open(newline='', encoding='utf-8') as file:
            reader = csv.DictReader(file)
            missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise ParameterError(f'{path}:1: no column {", ".join(missing)}; a table of '
                                     f'operators has {", ".join(COLUMNS)}')
            rows: list[Row] = []
            known: set[int] = set()
            for plain in reader:
                try:
                    row = _row(plain)
                    _check(row, known)
                except (ValueError, TypeError, AttributeError) as error:
                    raise ParameterError(f'{path}:{reader.line_num}: {error}') from error
                known.add(row.op)
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(f'cannot read {path}: {error}') from error
    if len(rows) < 2 or rows[1].kind == '_end':
        raise ParameterError(f'{path} has no operators')
    ends = [r for r in rows if r.kind == '_end']
    if len(ends) > 1 or ends and rows[-1] is not ends[0]:
        raise ParameterError(f'{path}: _end is the last row, and there is one of it')
    return rows


def _row(plain: dict[str, str]) -> Row:
    if None in plain.values() or None in plain:
        raise ValueError(f'expected {len(COLUMNS)} columns')
    shapes = tuple(tuple(int(n) for n in text.split('x'))
                   for text in plain['output_shapes'].split(';'))
    split = plain['split_dim'].strip()
    seconds = float(plain['device_ms']) / 1e3, float(plain['server_ms']) / 1e3
    return Row(int(plain['op']), plain['kind'].strip(),
               tuple(int(n) for n in plain['inputs'].split()), shapes,
               None if split == 'None' else int(split), seconds)


def _check(row: Row, known: set[int]) -> None:
    if row.op in known:
        raise ValueError(f'operator {row.op} is there twice')
    unknown = [i for i in row.inputs if i not in known]
    if unknown:
        raise ValueError(f'operator {row.op} reads {unknown}, which no row above makes')
    if bool(row.inputs) != bool(known):
        raise ValueError(f'operator {row.op} has no inputs' if known
                         else 'the first row is the input of the model and reads nothing')
    if any(n < 1 for shape in row.shapes for n in shape):
        raise ValueError(f'shapes {row.shapes} have to be above 0')
    if row.split_dim is not None and not all(
            0 <= row.split_dim < len(shape) for shape in row.shapes):
        raise ValueError(f'split_dim {row.split_dim} is no dimension of {row.shapes}')
    if not all(isfinite(s) and s >= 0 for s in row.seconds):
        raise ValueError(f'times have to be 0 ms or more, got {[1e3 * s for s in row.seconds]}')


def overwritten(rows: Sequence[Row]) -> dict[int, int]:
    """
    Find operators whose output another one overwrites: {operator: the one that overwrites it}.

    Whoever reads the result of an operation in place is recorded as a reader of both, though one
    tensor is all there is. So an output is overwritten where each later reader of it reads the
    result of an operation that can work in place, too.
    """
    found: dict[int, int] = {}
    for number, row in enumerate(rows):
        if row.kind not in IN_PLACE and (not row.kind.endswith('_') or row.kind.startswith('_')):
            continue
        for source in row.inputs:
            later = [r for r in rows[number + 1:] if source in r.inputs]
            if later and source not in found and all(row.op in r.inputs for r in later):
                found[source] = row.op
    return found


def _graph(rows: Sequence[Row], body: Sequence[Row], dtype: torch.dtype) -> Graph:
    gone = overwritten(rows)

    def read(row: Row) -> tuple[int, ...]:
        return tuple(i for i in row.inputs if gone.get(i) not in row.inputs)

    number_of = {rows[0].op: 0, **{row.op: n for n, row in enumerate(body, 1)}}
    tensors = [_tensor(0, rows[0], dtype)]
    tensors += [_tensor(n, row, torch.float32) for n, row in enumerate(body, 1)]
    operators = []
    for n, row in enumerate(body):
        output = tensors[n + 1]
        inputs = tuple(number_of[i] for i in read(row))
        local = output.layout.dim is not None
        needs = tuple((skeleton.share if local else Need.all)(output.rows, tensors[i].rows)
                      for i in inputs)
        operators.append(Operator(n, output.name, row.kind, inputs, n + 1, needs,
                                  skeleton.no_kernel, local))
    if rows[-1].kind == '_end':
        outputs = tuple(number_of[i] for i in read(rows[-1]))
    else:
        used = {i for o in operators for i in o.inputs}
        outputs = tuple(o.output for o in operators if o.output not in used)
    plain = [skeleton.plain_tensor(t) for t in tensors], \
        [skeleton.plain_operator(o, tensors) for o in operators]
    fingerprint = hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]
    return Graph(tuple(tensors), tuple(operators), 0, outputs, fingerprint)


def _tensor(number: int, row: Row, dtype: torch.dtype) -> Tensor:
    """Make one tensor of an operator's outputs: several are laid side by side, row by row."""
    name = f'{row.op}.{row.kind.strip("_")}'
    if len(row.shapes) == 1:
        shape = row.shapes[0]
        layout = WHOLE if row.split_dim is None else Layout(row.split_dim, shape[row.split_dim])
        return Tensor(number, name, shape, dtype, layout)
    elements = sum(prod(shape) for shape in row.shapes)
    heights = set() if row.split_dim is None else {s[row.split_dim] for s in row.shapes}
    if len(heights) != 1:
        # Bands of outputs that differ in rows do not match: they are only there as a whole.
        return Tensor(number, name, (1, elements), dtype, WHOLE)
    (rows,) = heights
    return Tensor(number, name, (1, elements // rows, rows), dtype, Layout(2, rows))
