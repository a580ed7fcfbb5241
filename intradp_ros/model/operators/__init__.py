"""One rule for each kind of operator: rows needed for rows wanted, and how to compute a band."""

from collections.abc import Callable, Sequence

import torch

from intradp_ros.model.graph import Tensor
from intradp_ros.model.operators import convolution, elementwise, pooling, reduction, resize, shape
from intradp_ros.model.operators.call import Call, NotLocal, Rule, has_rows, whole

RULES: dict[str, Callable[[Call, Sequence[Tensor], tuple[int, ...]], Rule]] = {
    'convolution': convolution.convolution,
    'affine': elementwise.affine,
    'max_pool2d': pooling.max_pool,
    'avg_pool2d': pooling.average_pool,
    'adaptive_avg_pool2d': pooling.adaptive_pool,
    'adaptive_max_pool2d': pooling.adaptive_pool,
    'upsample_nearest2d': resize.upsample,
    '_upsample_nearest_exact2d': resize.upsample,
    'upsample_bilinear2d': resize.upsample,
    'upsample_bicubic2d': resize.upsample,
    'slice': resize.pick_rows,
    'roll': resize.pick_rows,
    'flip': resize.pick_rows,
    'pad': resize.pad,
    'constant_pad_nd': resize.pad,
    'elementwise': elementwise.elementwise,
    'cat': elementwise.concatenate,
    'stack': elementwise.concatenate,
    'split_part': shape.split_part,
    'reshape': shape.reshape,
    'permute': shape.permute,
    'transpose': shape.permute,
    't': shape.permute,
    'select': shape.select,
    'expand': shape.expand,
    'matmul': shape.matmul,
    'bmm': shape.matmul,
    'einsum': shape.einsum,
    'scaled_dot_product_attention': shape.matmul,
    'mean': reduction.reduce,
    'sum': reduction.reduce,
    'amax': reduction.reduce,
    'amin': reduction.reduce,
    'linalg_vector_norm': reduction.reduce,
    'softmax': reduction.softmax,
    'log_softmax': reduction.softmax,
    'layer_norm': reduction.layer_norm,
    'linear': reduction.linear,
    'row_means': reduction.row_means,
    'mean_of_rows': reduction.mean_of_rows,
    'row_statistics': reduction.row_statistics,
    'group_scale': reduction.group_scale,
    'group_apply': reduction.group_apply,
    'group_norm': reduction.group_norm_whole,
}

# Those that torch does not tag as pointwise.
_ELEMENTWISE = {
    '_to_copy',
    'to',
    'where',
    'masked_fill',
    'lerp',
    'clamp',
    'type_as',
    'hardswish',
    'hardsigmoid',
    'relu6',
    'prelu',
    '_prelu_kernel',
    'selu',
    'celu',
    'mish',
    'softplus',
    'log_sigmoid',
    'hardshrink',
    'softshrink',
    'threshold',
    'softsign',
    'leaky_relu',
    'rsub',
    'floor_divide',
    'divide',
    'multiply',
    'subtract',
}
_RESHAPES = {
    'view',
    'reshape',
    '_unsafe_view',
    'flatten',
    'unflatten',
    'squeeze',
    'unsqueeze',
    'squeeze_',
    'view_as',
    'reshape_as',
}


def kind_of(target: torch._ops.OpOverload) -> str:
    """Name the rule for a torch operator: its own name, 'elementwise' or 'reshape'."""
    name = target._schema.name.split('::')[1]
    if name in RULES:
        return name
    if name in _RESHAPES:
        return 'reshape'
    if torch.Tag.pointwise in target.tags or name in _ELEMENTWISE:
        return 'elementwise'
    return name


def apply_rule(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> tuple[Rule, str]:
    """
    Find out what a call does with rows.

    :returns: the rule's answer, and why it is global ('' when it is local). Calls on tensors that
        have no rows any more are whole too, with '' as nothing new is lost.
    """
    restores = call.kind.startswith(('upsample', '_upsample'))
    if (
        call.target is not None
        and not any(has_rows(t) for t in inputs)
        and not (restores and len(shape) == 4 and shape[2] > 1)
    ):
        return whole(call, inputs), ''
    rule = RULES.get(call.kind)
    if rule is None:
        return whole(call, inputs), f'there is no rule for {call.kind}'
    try:
        return rule(call, inputs, shape), ''
    except NotLocal as reason:
        return whole(call, inputs), str(reason)


def expand_call(call: Call, inputs: Sequence[Tensor], shapes: list) -> list[Call]:
    """
    Take apart what is global in one step but mostly local in several.

    New tensors are appended to `shapes` (shape, dtype, name). Any other call comes back as it is.
    """
    x = inputs[0]
    if len(x.shape) != 4 or x.layout.dim != 2 or x.layout.unit != 1 or x.rows == 1:
        return [call]

    def new(shape: tuple[int, ...]) -> int:
        shapes.append((shape, x.dtype, call.name))
        return len(shapes) - 1

    def step(kind: str, sources: list[int], output: int, **arguments: object) -> Call:
        name = call.name if output == call.output else f'{call.name}.{kind}'
        return Call(kind, None, arguments, sources, output, name, call.source)

    batch, channels, rows, columns = x.shape
    source = call.inputs[0]
    if _is_image_mean(call, shapes[call.output][0]):
        means = new((batch, channels, rows, 1))
        return [
            step('row_means', [source], means),
            step('mean_of_rows', [means], call.output, keepdim=len(shapes[call.output][0]) == 4),
        ]
    if call.kind in ('group_norm', 'instance_norm') and call.get('use_input_stats') is not False:
        groups = call.get('num_groups', channels)
        statistics, scale = new((batch, groups, rows, 2)), new((2, channels))
        weight, bias = call.get('weight'), call.get('bias')
        return [
            step('row_statistics', [source], statistics, groups=groups),
            step(
                'group_scale',
                [statistics],
                scale,
                eps=call.get('eps', 1e-5),
                count=channels // groups * columns,
                weight=torch.ones(channels) if weight is None else weight,
                bias=torch.zeros(channels) if bias is None else bias,
            ),
            step('group_apply', [source, scale], call.output, activation=call.get('activation')),
        ]
    return [call]


def _is_image_mean(call: Call, shape: tuple[int, ...]) -> bool:
    if call.kind == 'adaptive_avg_pool2d':
        return tuple(shape[2:]) == (1, 1)
    if call.kind != 'mean' or call.get('dtype') is not None:
        return False
    dims = call.get('dim')
    return dims is not None and sorted(d % 4 for d in dims) == [2, 3]
