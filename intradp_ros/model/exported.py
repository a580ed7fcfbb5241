"""
Reading an exported program: its calls, what is constant in it, and a hash of it.

What has no effect in inference is dropped here, and what does not depend on the image is computed.
"""

import hashlib
import operator as python_operator
from collections.abc import Sequence
from typing import Any

import torch

from intradp_ros.errors import ModelError
from intradp_ros.model.graph import check_single_batch
from intradp_ros.model.operators import kind_of
from intradp_ros.model.operators.call import Call, Ref

_NO_EFFECT = {
    'dropout',
    'feature_dropout',
    'alpha_dropout',
    'clone',
    'contiguous',
    'alias',
    'detach',
    'detach_',
    'lift_fresh_copy',
    'lift_fresh',
    'dropout_',
}
_FILLS = {
    'new_zeros',
    'new_ones',
    'new_full',
    'new_empty',
    'zeros_like',
    'ones_like',
    'full_like',
    'empty_like',
}
_SILENT = {'_assert_tensor_metadata', '_assert_scalar', '_assert_async', 'sym_constrain_range'}


def fingerprint(program: torch.export.ExportedProgram) -> str:
    """Hash the program's text and the weights as they are before any folding."""
    digest = hashlib.sha256()
    for node in program.graph.nodes:
        digest.update(f'{node.op} {node.target} {node.args} {node.kwargs}\n'.encode())
        value = node.meta.get('val')
        if isinstance(value, torch.Tensor):
            digest.update(f'{tuple(value.shape)} {value.dtype}\n'.encode())
    for name, tensor in sorted(_constants(program).items()):
        digest.update(f'{name} {tuple(tensor.shape)} {tensor.dtype}\n'.encode())
        if tensor.numel():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _constants(program: torch.export.ExportedProgram) -> dict[str, torch.Tensor]:
    signature = program.graph_signature
    found = {}
    for inputs in (
        signature.inputs_to_parameters,
        signature.inputs_to_buffers,
        signature.inputs_to_lifted_tensor_constants,
    ):
        for placeholder, name in inputs.items():
            tensor = program.state_dict.get(name, program.constants.get(name))
            found[placeholder] = tensor.detach()
    return found


def read_calls(program: torch.export.ExportedProgram):
    """
    Read the exported program.

    :returns: calls, (shape, dtype, name) of every tensor id, the image's id, ids of the outputs.
    """
    constants = {name: tensor.cpu() for name, tensor in _constants(program).items()}
    values: dict[Any, Any] = {}
    shapes: list[tuple[tuple[int, ...], torch.dtype, str]] = []
    calls: list[Call] = []
    image: int | None = None
    outputs: tuple[int, ...] = ()
    for node in program.graph.nodes:
        if node.op == 'placeholder':
            if node.name in constants:
                values[node] = constants[node.name]
            elif image is None:
                value = node.meta['val']
                check_single_batch(value.shape)
                image = len(shapes)
                shapes.append((tuple(value.shape), value.dtype, 'input'))
                values[node] = Ref(image)
            else:
                raise ModelError(
                    'the model takes more than one input; wrap it so that it takes one image'
                )
        elif node.op == 'output':
            outputs = _output_ids(node.args[0], values)
        elif node.op == 'call_function':
            values[node] = _read(node, values, shapes, calls)
    if image is None:
        raise ModelError('the model takes no image')
    return calls, shapes, image, outputs


def _output_ids(args: Any, values: dict) -> tuple[int, ...]:
    ids = []
    for node in args:
        value = values.get(node)
        if not isinstance(value, Ref):
            raise ModelError('an output of the model does not depend on the image')
        ids.append(value.index)
    return tuple(ids)


def _read(node: Any, values: dict, shapes: list, calls: list[Call]) -> Any:
    """
    Read one node: a constant, a `Ref` to a tensor that a new call makes, or parts of a split.
    """

    def look(value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            return values[value]
        if isinstance(value, list | tuple):
            return [look(v) for v in value]
        return value

    if node.target is python_operator.getitem:
        source = values[node.args[0]]
        return source[node.args[1]] if isinstance(source, list | tuple) else source
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        raise ModelError(_where(node, f'operator {target} is not one of torch'))
    name = target._schema.name.split('::')[1]
    if name in _SILENT:
        return None
    args, kwargs = look(node.args), {k: look(v) for k, v in node.kwargs.items()}
    activations = _refs([args, list(kwargs.values())])
    if name in _FILLS and activations:
        # Only the shape and type of the activation matter.
        args = [_stand_in(node.args[0]), *args[1:]]
        activations = _refs([args, list(kwargs.values())])
    if not activations:
        return target(*args, **kwargs)
    if not _is_static(node.meta['val']):
        reason = f'the shape of what {name} gives depends on the data; it belongs to postprocess'
        raise ModelError(_where(node, reason))
    named = {**dict(zip((a.name for a in target._schema.arguments), args)), **kwargs}
    if name in _NO_EFFECT or name in ('to', '_to_copy') and _keeps(node):
        return activations[0]
    if name in ('view', '_unsafe_view'):
        # Memory may lie otherwise than where the model was captured; a reshape copies if it must.
        target, named = torch.ops.aten.reshape.default, {'self': args[0], 'shape': args[1]}
    value = node.meta['val']
    label, source = _name(node), _source(node)
    if name in ('split', 'chunk', 'split_with_sizes', 'unbind', 'tensor_split'):
        return _parts(named, name, value, activations[0], shapes, calls, label, source)
    if name == '_native_batch_norm_legit_no_training' or name == 'batch_norm':
        named, target, name = _norm_arguments(named), None, 'affine'
        value = value[0] if isinstance(value, list | tuple) else value
    elif isinstance(value, list | tuple):
        value = _single(node, value)
        target = _first_of(target)
    output = len(shapes)
    shapes.append((tuple(value.shape), value.dtype, label))
    inputs = list(dict.fromkeys(r.index for r in activations))
    place = {index: i for i, index in enumerate(inputs)}
    named = {k: _renumber(v, place) for k, v in named.items()}
    kind = name if target is None or name not in dir(torch.ops.aten) else kind_of(node.target)
    calls.append(Call(kind, target, named, inputs, output, label, source))
    return Ref(output)


def _is_static(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_static(v) for v in value)
    return (
        value is None
        or isinstance(value, torch.Tensor)
        and all(isinstance(extent, int) for extent in value.shape)
    )


def _stand_in(node: Any) -> torch.Tensor:
    value = node.meta['val']
    return torch.empty(value.shape, dtype=value.dtype)


def _keeps(node: Any) -> bool:
    before, after = node.args[0].meta['val'], node.meta['val']
    return before.dtype == after.dtype


def _single(node: Any, value: Sequence[Any]) -> torch.Tensor:
    used = {user.args[1] for user in node.users if user.target is python_operator.getitem}
    if used - {0}:
        raise ModelError(_where(node, 'more than the first of its results is used'))
    return value[0]


def _first_of(target: Any):
    return lambda **kwargs: target(**kwargs)[0]


def _parts(
    named: dict,
    name: str,
    value: Sequence[torch.Tensor],
    source: Ref,
    shapes: list,
    calls: list[Call],
    label: str,
    line: str,
) -> list[Ref]:
    """Make one call for each part of a split; parts that nobody uses disappear later."""
    parts, start = [], 0
    dim = named.get('dim', 0)
    for i, part in enumerate(value):
        output = len(shapes)
        shapes.append((tuple(part.shape), part.dtype, f'{label}.{i}'))
        if name == 'unbind':
            calls.append(
                Call(
                    'select',
                    torch.ops.aten.select.int,
                    {'self': Ref(0), 'dim': dim, 'index': i},
                    [source.index],
                    output,
                    f'{label}.{i}',
                    line,
                )
            )
        else:
            length = part.shape[dim]
            arguments = {'self': Ref(0), 'dim': dim, 'start': start, 'length': length}
            calls.append(
                Call(
                    'split_part',
                    torch.ops.aten.narrow.default,
                    arguments,
                    [source.index],
                    output,
                    f'{label}.{i}',
                    line,
                )
            )
            start += length
        parts.append(Ref(output))
    return parts


def _norm_arguments(named: dict) -> dict:
    """Batch norm in inference is a scale and a shift of each channel."""
    mean, variance = named['running_mean'].double(), named['running_var'].double()
    scale = 1 / torch.sqrt(variance + named['eps'])
    if named.get('weight') is not None:
        scale = scale * named['weight'].double()
    shift = -mean * scale
    if named.get('bias') is not None:
        shift = shift + named['bias'].double()
    return {
        'x': Ref(named['input'].index),
        'scale': scale.view(-1, 1, 1),
        'shift': shift.view(-1, 1, 1),
    }


def _refs(value: Any) -> list[Ref]:
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, list | tuple):
        return [ref for v in value for ref in _refs(v)]
    return []


def _renumber(value: Any, place: dict[int, int]) -> Any:
    if isinstance(value, Ref):
        return Ref(place[value.index])
    if isinstance(value, list | tuple):
        return [_renumber(v, place) for v in value]
    return value


def _name(node: Any) -> str:
    """
    Dotted name of the innermost module, or of the module and the operator for functional calls.
    """
    stack = list((node.meta.get('nn_module_stack') or {}).values())
    path = stack[-1][0] if stack else ''
    kind = stack[-1][1] if stack else ''
    leaf = isinstance(kind, str) and '.nn.modules.' in kind and 'container' not in kind
    name = path if leaf else f'{path}.{node.name}' if path else node.name
    return name.replace("L['self'].", '')


def _source(node: Any) -> str:
    lines = [
        line.strip()
        for line in (node.meta.get('stack_trace') or '').split('\n')
        if line.strip().startswith('File ')
    ]
    if not lines:
        return ''
    parts = lines[-1].split('"')
    return f'{parts[1]}:{parts[2].split("line ")[1].split(",")[0]}'


def _where(node: Any, reason: str) -> str:
    source = _source(node)
    return f'{_name(node)} ({node.target}{", " + source if source else ""}): {reason}'
