"""
Simplify a list of calls: fold scales into convolutions, fuse activations and sums to what makes
them.

Each pass looks at one call and its only producer or consumer; what has several consumers stays as
it is.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from intradp_ros.model.operators.call import Call, Ref

FUSES_ACTIVATION = 'convolution', 'affine', 'linear', 'group_norm'
Shapes = Sequence[tuple[tuple[int, ...], torch.dtype, str]]


def simplify(
    calls: list[Call], shapes: Shapes, outputs: Sequence[int]
) -> tuple[list[Call], Sequence[int]]:
    """Run all passes; ids of the outputs stay what they are."""
    calls = _alive(calls, outputs)
    calls = [_normal_form(c, shapes) for c in calls]
    for fuse in (_fuse_affine, _fold_into_convolution, _fuse_sum, _fuse_activation):
        calls = _each_pair(calls, outputs, shapes, fuse)
    for call in calls:
        if call.kind == 'affine':
            for name in ('scale', 'shift'):
                call.arguments[name] = call.arguments[name].float()
    return calls, outputs


def _alive(calls: list[Call], outputs: Sequence[int]) -> list[Call]:
    used, kept = set(outputs), []
    for call in reversed(calls):
        if call.output in used:
            used.update(call.inputs)
            kept.append(call)
    return kept[::-1]


def _each_pair(
    calls: list[Call],
    outputs: Sequence[int],
    shapes: Shapes,
    fuse: Callable[[Call, Call, Shapes], Call | None],
) -> list[Call]:
    """
    Try `fuse(producer, consumer)` on every pair in which the producer has no other consumer.

    The fused call takes the consumer's place, so that all its inputs are there.
    """
    uses = Counter(i for c in calls for i in c.inputs) + Counter(outputs)
    made: dict[int, Call] = {}
    for call in calls:
        fused: Call | None = call
        while fused is not None:
            current, fused = fused, None
            for i in reversed(current.inputs):
                if i in made and uses[i] == 1:
                    fused = fuse(made[i], current, shapes)
                    if fused is not None:
                        del made[i]
                        break
        made[current.output] = current
    return list(made.values())


def _normal_form(call: Call, shapes: Shapes) -> Call:
    """
    Write a call in the form that the passes know: convolution, affine, activation, or itself.
    """
    if call.kind == 'conv2d':
        return _convolution(call, shapes, transposed=False)
    if call.kind in ('conv_transpose2d', 'conv_transpose2d.input'):
        return _convolution(call, shapes, transposed=True)
    if call.kind == 'convolution' and call.target is not None:
        return _convolution(call, shapes, transposed=bool(call.get('transposed')))
    if call.kind == 'linear':
        return _linear(call)
    if call.kind == 'elementwise':
        return _affine(call, shapes) or call
    return call


def _pair(value: Any, default: int) -> list[int]:
    if value is None:
        return [default, default]
    values = [value] if isinstance(value, int) else list(value)
    return [int(values[0]), int(values[-1])]


def _convolution(call: Call, shapes: Shapes, transposed: bool) -> Call:
    get = call.get
    if (
        not isinstance(get('weight'), torch.Tensor)
        or get('weight').dim() != 4
        or isinstance(get('bias'), Ref)
    ):
        call.kind = f'{call.kind}, weights that are computed'
        return call
    weight, dilation = get('weight'), _pair(get('dilation'), 1)
    padding = get('padding')
    if isinstance(padding, str):
        total = [
            d * (k - 1) if padding == 'same' else 0 for d, k in zip(dilation, weight.shape[2:])
        ]
        sides = [total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2]
    else:
        rows, columns = _pair(padding, 0)
        sides = [rows, rows, columns, columns]
    arguments = {
        'x': Ref(0),
        'weight': weight,
        'bias': get('bias'),
        'stride': _pair(get('stride'), 1),
        'padding': sides,
        'dilation': dilation,
        'groups': get('groups', 1),
        'transposed': transposed,
        'output_padding': _pair(get('output_padding'), 0),
        'activation': None,
    }
    return Call('convolution', None, arguments, call.inputs, call.output, call.name, call.source)


def _linear(call: Call) -> Call:
    weight, bias = call.get('weight'), call.get('bias')
    if not isinstance(weight, torch.Tensor) or isinstance(bias, Ref) or len(call.inputs) != 1:
        call.kind = f'{call.kind}, weights that are computed'
        return call
    arguments = {'x': Ref(0), 'weight': weight, 'bias': bias, 'activation': None}
    return Call('linear', None, arguments, call.inputs, call.output, call.name, call.source)


def _affine(call: Call, shapes: Shapes) -> Call | None:
    """Recognise x + c, x - c, c - x, x * c, x / c with a constant for each channel, or for all."""
    name = call.target._schema.name.split('::')[1]
    shape, dtype, _ = shapes[call.output]
    if name == '_to_copy' and dtype == torch.float32 and len(shape) == 4:
        one = torch.ones(1, 1, 1, dtype=torch.float64)
        return _make_affine(call, one, torch.zeros_like(one))
    if name not in ('add', 'sub', 'mul', 'div') or len(call.inputs) != 1 or len(shape) != 4:
        return None
    if call.get('alpha', 1) != 1 or call.get('rounding_mode') is not None:
        return None
    first, second = call.get('self'), call.get('other')
    if isinstance(first, Ref) and isinstance(second, Ref):
        return None
    constant = second if isinstance(first, Ref) else first
    if shapes[call.inputs[0]][0] != shape or dtype != torch.float32:
        return None
    value = torch.as_tensor(constant, dtype=torch.float64)
    if value.dim() > 4 or any(n != 1 for i, n in enumerate(value.shape[::-1]) if i != 2):
        return None
    value = value.reshape(-1, 1, 1)
    one, zero = torch.ones_like(value), torch.zeros_like(value)
    swapped = isinstance(second, Ref)
    if name == 'add':
        return _make_affine(call, one, value)
    if name == 'sub':
        return _make_affine(call, -one, value) if swapped else _make_affine(call, one, -value)
    if name == 'mul':
        return _make_affine(call, value, zero)
    return None if swapped else _make_affine(call, 1 / value, zero)


def _make_affine(call: Call, scale: torch.Tensor, shift: torch.Tensor) -> Call:
    return Call(
        'affine',
        None,
        {'x': Ref(0), 'scale': scale, 'shift': shift},
        call.inputs,
        call.output,
        call.name,
        call.source,
    )


def _joined(producer: Call, consumer: Call, **changes: Any) -> Call:
    """Make one call of two: the producer's work, the consumer's result."""
    return Call(
        producer.kind,
        producer.target,
        {**producer.arguments, **changes},
        producer.inputs,
        consumer.output,
        consumer.name,
        producer.source,
    )


def _fuse_affine(producer: Call, consumer: Call, shapes: Shapes) -> Call | None:
    """Two affine calls in a row are one."""
    if producer.kind != 'affine' or consumer.kind != 'affine' or producer.get('activation'):
        return None
    scale, shift = consumer.get('scale'), consumer.get('shift')
    return _joined(
        producer,
        consumer,
        scale=producer.get('scale') * scale,
        shift=producer.get('shift') * scale + shift,
    )


def _fold_into_convolution(producer: Call, consumer: Call, shapes: Shapes) -> Call | None:
    """
    Batch norm (or any scale and shift of channels) after a convolution goes into its weights.
    """
    if producer.kind != 'convolution' or consumer.kind != 'affine' or producer.get('activation'):
        return None
    if producer.get('transposed') and producer.get('groups') != 1:
        return None
    weight = producer.get('weight')
    channels = weight.shape[1 if producer.get('transposed') else 0]
    scale = consumer.get('scale').reshape(-1).expand(channels)
    shift = consumer.get('shift').reshape(-1).expand(channels)
    along = (1, -1, 1, 1) if producer.get('transposed') else (-1, 1, 1, 1)
    bias = producer.get('bias')
    folded = shift if bias is None else bias.double() * scale + shift
    return _joined(
        producer,
        consumer,
        bias=folded.float(),
        weight=(weight.double() * scale.view(along)).float(),
    )


def _fuse_sum(producer: Call, consumer: Call, shapes: Shapes) -> Call | None:
    """Add a residual in the convolution that makes the other operand."""
    if producer.kind != 'convolution' or len(producer.inputs) != 1 or producer.get('activation'):
        return None
    if not _is(consumer, 'add') or len(consumer.inputs) != 2 or consumer.get('alpha', 1) != 1:
        return None
    if any(shapes[i][0] != shapes[consumer.output][0] for i in consumer.inputs):
        return None
    other = [i for i in consumer.inputs if i != producer.output]
    joined = _joined(producer, consumer)
    joined.inputs = [*producer.inputs, *other]
    return joined


def _is(call: Call, name: str) -> bool:
    return call.kind == 'elementwise' and call.target._schema.name.split('::')[1] == name


def activation_of(call: Call) -> tuple[str, list[float]] | None:
    """Name an activation as oneDNN does, with its scalars."""
    if call.kind != 'elementwise' or len(call.inputs) != 1:
        return None
    name, get = call.target._schema.name.split('::')[1], call.get
    if name in ('relu', 'sigmoid', 'tanh', 'hardswish', 'hardsigmoid'):
        return name, []
    if name == 'relu6':
        return 'hardtanh', [0.0, 6.0]
    if name == 'hardtanh':
        return 'hardtanh', [float(get('min_val', -1)), float(get('max_val', 1))]
    if name == 'silu':
        return 'swish', []
    if name == 'leaky_relu':
        return 'leaky_relu', [float(get('negative_slope', 0.01))]
    if name == 'gelu' and get('approximate', 'none') == 'none':
        return 'gelu', []
    return None


def _fuse_activation(producer: Call, consumer: Call, shapes: Shapes) -> Call | None:
    """An activation runs in the convolution, batch norm or group norm before it."""
    if producer.kind not in FUSES_ACTIVATION or producer.get('activation'):
        return None
    activation = activation_of(consumer)
    if activation is None or shapes[producer.output][1] != torch.float32:
        return None
    return _joined(producer, consumer, activation=activation)
