"""
A graph without weights, as plain data: what a planner needs, written so that people can read it.

Row rules are written by their geometry where they have one: 'same', 'all', 'share' (in
proportion), ['window', size, stride, before]; else row by row.
"""

from collections.abc import Sequence
from typing import Any

import torch

from intradp_ros.errors import ModelError
from intradp_ros.model.graph import Graph, Kernel, Layout, Need, Operator, Tensor


def no_kernel(device: torch.device) -> Kernel:
    """Refuse to compute: a skeleton has no weights; raises ModelError."""
    raise ModelError('this graph was read from a profile and has no weights; build the model to '
                     'compute with it')


def share(rows: int, input_rows: int) -> Need:
    """Each row needs its share of the input rows, as nearest-neighbour scaling would."""
    return Need(tuple(r * input_rows // rows for r in range(rows)),
                tuple(-(-(r + 1) * input_rows // rows) for r in range(rows)))


def plain_need(need: Need, input_rows: int) -> Any:
    """Write a row rule in the shortest form that says exactly the same."""
    rows = len(need.first)
    for name, rule in (('same', Need.same(rows)), ('all', Need.all(rows, input_rows)),
                       ('share', share(rows, input_rows))):
        if need == rule:
            return name
    window = _window(need, input_rows)
    if window and need == Need.windows(rows, input_rows, *window):
        return ['window', *window]
    return {'first': list(need.first), 'last': list(need.last)}


def _window(need: Need, input_rows: int) -> tuple[int, int, int] | None:
    """Guess size, stride and border of a window from rows that the image's ends do not clip."""
    starts = [r for r, p in enumerate(need.first) if 0 < p < input_rows]
    ends = [r for r, q in enumerate(need.last) if 0 < q < input_rows]
    if not starts or not ends:
        return None
    if len(starts) > 1:
        a, b = starts[:2]
        stride = (need.first[b] - need.first[a]) // (b - a)
    elif len(ends) > 1:
        a, b = ends[:2]
        stride = (need.last[b] - need.last[a]) // (b - a)
    else:
        stride = 1
    before = starts[0] * stride - need.first[starts[0]]
    return need.last[ends[0]] - (ends[0] * stride - before), stride, before


def need_from(plain: Any, rows: int, input_rows: int) -> Need:
    """Read a row rule; raises ValueError when it is none."""
    if plain == 'same':
        need = Need.same(rows)
    elif plain == 'all':
        need = Need.all(rows, input_rows)
    elif plain == 'share':
        need = share(rows, input_rows)
    elif isinstance(plain, list) and len(plain) == 4 and plain[0] == 'window':
        need = Need.windows(rows, input_rows, *map(int, plain[1:]))
    elif isinstance(plain, dict):
        need = Need(tuple(map(int, plain['first'])), tuple(map(int, plain['last'])))
    else:
        raise ValueError(f'unknown row rule {plain!r}')
    for edges in (need.first, need.last):
        if len(edges) != rows or any(a > b for a, b in zip(edges, edges[1:])):
            raise ValueError(f'a row rule needs {rows} ascending rows, got {len(edges)}')
        if edges[0] < 0 or edges[-1] > input_rows:
            raise ValueError(f'a row rule leaves the {input_rows} rows of its input')
    return need


def plain_tensor(tensor: Tensor) -> dict[str, Any]:
    """Write a tensor; `rows` is absent where it has none."""
    layout = tensor.layout
    plain = {'name': tensor.name, 'shape': list(tensor.shape),
             'dtype': str(tensor.dtype).removeprefix('torch.')}
    if layout.dim is not None or layout.rows != 1:
        plain['rows'] = [layout.dim, layout.rows, layout.unit, layout.lines]
    return plain


def tensor_from(number: int, plain: dict[str, Any]) -> Tensor:
    """Read a tensor; raises ValueError, KeyError or TypeError when it is none."""
    dtype = getattr(torch, plain['dtype'], None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f'unknown dtype {plain["dtype"]!r}')
    shape = tuple(int(n) for n in plain['shape'])
    dim, rows, unit, lines = plain.get('rows', (None, 1, 1, 1))
    if rows < 1 or dim is not None and (not 0 <= dim < len(shape) or rows * unit != shape[dim]):
        raise ValueError(f'{rows} rows of {unit} in dimension {dim} do not fit shape {shape}')
    return Tensor(number, str(plain['name']), shape, dtype, Layout(dim, rows, unit, lines))


def plain_operator(operator: Operator, tensors: Sequence[Tensor]) -> dict[str, Any]:
    """Write an operator."""
    return {'name': operator.name, 'kind': operator.kind, 'inputs': list(operator.inputs),
            'output': operator.output, 'local': operator.is_local, 'macs': operator.macs,
            'needs': [plain_need(n, tensors[i].rows)
                      for i, n in zip(operator.inputs, operator.needs)]}


def operator_from(number: int, plain: dict[str, Any], tensors: Sequence[Tensor]) -> Operator:
    """Read an operator; raises ValueError, KeyError, IndexError or TypeError when it is none."""
    inputs, output = tuple(map(int, plain['inputs'])), int(plain['output'])
    if not all(0 <= t < len(tensors) for t in (*inputs, output)):
        raise ValueError(f'operator {number} names tensors beyond the {len(tensors)} there are')
    if len(plain['needs']) != len(inputs):
        raise ValueError(f'operator {number} has {len(inputs)} inputs and '
                         f'{len(plain["needs"])} row rules')
    needs = tuple(need_from(n, tensors[output].rows, tensors[i].rows)
                  for i, n in zip(inputs, plain['needs']))
    return Operator(number, str(plain['name']), str(plain['kind']), inputs, output, needs,
                    no_kernel, bool(plain['local']), int(plain['macs']))


def check_order(graph: Graph) -> None:
    """Refuse a graph whose operators could not run in their order; raises ValueError."""
    there = {graph.input}
    for operator in graph.operators:
        missing = set(operator.inputs) - there
        if missing or operator.output in there:
            raise ValueError(f'operator {operator.id} ({operator.name}) '
                             + (f'reads tensors {sorted(missing)} before they are made'
                                if missing else f'makes tensor {operator.output} again'))
        there.add(operator.output)
    if not graph.outputs or not set(graph.outputs) <= there:
        raise ValueError(f'outputs {list(graph.outputs)} are not made')
