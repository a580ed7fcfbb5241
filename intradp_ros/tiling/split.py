"""
A frame split at a merge tensor: upper rows of it from the device, the rest from raw rows on the
edge.

With no rows on the device this is offload; with all of them it is a cut at a layer, streamed.
"""

from dataclasses import dataclass

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Graph, Tensor, rows_needed


@dataclass(frozen=True)
class Split:
    """
    Who computes which rows.

    The device sends rows [0, device_rows) of tensor `merge` and rows [raw_begin, height) of the
    input: those that the edge needs for the other rows of `merge`, halo included. `merge` is the
    input itself when there is nothing for the device to compute.
    """

    merge: int
    device_rows: int
    raw_begin: int


def offload(graph: Graph) -> Split:
    """Everything on the edge."""
    return Split(graph.input, 0, 0)


def at(graph: Graph, merge: str, share: float) -> Split:
    """
    Split at a tensor, `share` (0 to 1) of whose rows the device computes, rounded to whole rows.

    :param merge: dotted name of a merge candidate; '' for the natural bottleneck.
    :raises ParameterError: when the graph has no such candidate, with those that it has.
    """
    tensor = _candidate(graph, merge) if merge else bottleneck(graph)
    rows = round(share * tensor.rows)
    if rows == 0:
        return offload(graph)
    height = graph.tensors[graph.input].rows
    begin = height if rows == tensor.rows else \
        rows_needed(graph, tensor.id, rows, tensor.rows)[0]
    return Split(tensor.id, rows, begin)


def bottleneck(graph: Graph) -> Tensor:
    """
    Find the natural bottleneck: the first tensor that all passes through and that is smaller than
    the uint8 input (dynamic split computing, arXiv 2205.11269, section 3).

    :raises ParameterError: when there is none.
    """
    for tensor in candidates(graph):
        if tensor.bytes < graph.tensors[graph.input].bytes:
            return tensor
    raise ParameterError('this model has no natural bottleneck (a tensor that everything passes '
                         'through and that is smaller than its uint8 input); name a merge tensor, '
                         'or use mode "offload"')


def candidates(graph: Graph) -> list[Tensor]:
    """
    Tensors that a frame can be split at: (1, C, rows, W), and everything passes through them.
    """
    return [t for t in graph.merge_candidates() if t.id != graph.input and len(t.shape) == 4
            and t.layout.dim == 2 and t.layout.unit == 1 and t.rows == t.shape[2]]


def _candidate(graph: Graph, name: str) -> Tensor:
    found = candidates(graph)
    for tensor in found:
        if tensor.name == name:
            return tensor
    raise ParameterError(f'{name!r} is not a tensor to split at; there are: '
                         f'{", ".join(t.name for t in found)}')
