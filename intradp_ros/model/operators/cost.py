"""Multiply-adds of a call, whatever its rows do."""

from collections.abc import Sequence
from math import prod

from torch import Tensor as T

from intradp_ros.model.graph import Tensor
from intradp_ros.model.operators.call import Call, Ref


def multiply_adds(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> int:
    """Count multiplications of an element by a weight or another element; sums alone are free."""
    x = inputs[0].shape
    if call.kind == 'convolution':
        weight, elements = call.get('weight'), x if call.get('transposed') else shape
        return weight[0].numel() * prod(elements)
    if call.kind == 'linear':
        return prod(shape) * x[-1]
    if call.kind in ('matmul', 'bmm', 'mm', 'addmm', 'baddbmm'):
        left = call.get('self', call.get('mat1', call.get('batch1')))
        return prod(shape) * _shape(left, inputs)[-1]
    if call.kind == 'scaled_dot_product_attention':
        keys = _shape(call.get('key'), inputs)
        queries = _shape(call.get('query'), inputs)
        return prod(queries) * keys[-2] + prod(shape) * keys[-2]
    if call.kind == 'einsum':
        sizes: dict[str, int] = {}
        terms = call.get('equation').replace(' ', '').split('->')[0].split(',')
        for term, operand in zip(terms, call.get('tensors')):
            sizes.update(zip(term, _shape(operand, inputs)))
        return prod(sizes.values()) if len(terms) > 1 else 0
    return 0


def _shape(value: Ref | T, inputs: Sequence[Tensor]) -> tuple[int, ...]:
    return inputs[value.index].shape if isinstance(value, Ref) else tuple(value.shape)
