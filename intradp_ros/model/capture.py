"""
From a torch module to a `Graph`: export, simplify, then ask each operator's rule about its rows.

`torch.export` gives a straight line of torch operators with all shapes known. What has no effect
in inference is dropped, what does not depend on the image is computed once, the rest is fused
(`fuse.simplify`), and every call that is left becomes one `Operator`.
"""

import importlib
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from intradp_ros.errors import ModelError
from intradp_ros.model.exported import fingerprint, read_calls
from intradp_ros.model.fuse import simplify
from intradp_ros.model.graph import WHOLE, Graph, Layout, Operator, Tensor, check_single_batch
from intradp_ros.model.operators import apply_rule, expand_call
from intradp_ros.model.operators.call import Call
from intradp_ros.model.operators.cost import multiply_adds

log = logging.getLogger(__name__)


def capture(module: nn.Module, example: torch.Tensor) -> Graph:
    """
    Capture the dense part of a model.

    :param module: maps one image (1, C, H, W), usually uint8, to a tensor or a tuple of tensors.
    :param example: an image of the size that will be used; its contents do not matter.
    :raises ModelError: when the module cannot be exported, or an operator's geometry is not
        supported: named with its source line and the reason.
    """
    check_single_batch(example.shape)
    module = module.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.export.export(module, (example,), strict=False)
    except Exception as error:
        first = str(error).strip().split('\n')[0]
        what = type(module).__name__
        raise ModelError(f'torch.export cannot capture {what}: {first}') from error
    return from_program(program)


def load(source: str, example: torch.Tensor) -> Graph:
    """
    Capture from a saved program (`model.pt2`) or from a factory (`package.module:function`).

    A factory takes no arguments and returns a module; it is code and runs with your rights.

    :raises ModelError: when there is no such file or factory, or it cannot be captured.
    """
    if source.endswith('.pt2'):
        if not Path(source).is_file():
            raise ModelError(f'no program {source}')
        try:
            return from_program(torch.export.load(os.fspath(source)))
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f'{source} is not a program of torch.export: {error}') from error
    name, _, function = source.partition(':')
    try:
        module = getattr(importlib.import_module(name), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f'no factory {source!r} (expected package.module:function): {error}'
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError(f'{source} returned a {type(module).__name__}, not a torch module')
    return capture(module, example)


def from_program(program: torch.export.ExportedProgram) -> Graph:
    """Turn an exported program into a graph; errors as for `capture`."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        program = program.run_decompositions({})
        calls, shapes, image, outputs = read_calls(program)
        calls, outputs = simplify(calls, shapes, outputs)
        return _build(calls, shapes, image, outputs, fingerprint(program))


def _build(
    calls: list[Call], shapes: list, image: int, outputs: Sequence[int], fingerprint: str
) -> Graph:
    """Number what is left, ask each rule, and put the graph together."""
    shape, dtype, _ = shapes[image]
    tensors = [Tensor(0, 'input', shape, dtype, Layout(2, shape[2]))]
    ids, names = {image: 0}, {'input'}
    operators: list[Operator] = []
    unknown: dict[str, list[str]] = {}
    for whole_call in calls:
        for call in expand_call(whole_call, [tensors[ids[i]] for i in whole_call.inputs], shapes):
            inputs = [tensors[ids[i]] for i in call.inputs]
            shape, dtype, _ = shapes[call.output]
            rule, reason = apply_rule(call, inputs, shape)
            if reason.startswith('there is no rule'):
                unknown.setdefault(call.kind, []).append(f'{call.name} ({call.source})')
            name, number = call.name, 1
            while name in names:
                number += 1
                name = f'{call.name}_{number}'
            names.add(name)
            ids[call.output] = len(tensors)
            tensors.append(Tensor(len(tensors), name, tuple(shape), dtype, rule.layout))
            operators.append(
                Operator(
                    len(operators),
                    name,
                    call.kind,
                    tuple(t.id for t in inputs),
                    ids[call.output],
                    tuple(rule.needs),
                    rule.kernel,
                    not reason and rule.layout.rows > 1,
                    multiply_adds(call, inputs, shape),
                    call.source,
                    rule.borders,
                    rule.fill_value,
                    {'reason': reason} if reason else {},
                )
            )
    notes = tuple(
        f'there is no rule for {kind}; it is treated as global, {len(places)} times, first in '
        f'{places[0]}'
        for kind, places in unknown.items()
    )
    for note in notes:
        log.warning(note)
    assert all(
        t.layout == WHOLE or t.shape[t.layout.dim] == t.rows * t.layout.unit for t in tensors
    )
    return Graph(
        tuple(tensors),
        tuple(operators),
        0,
        tuple(ids[o] for o in outputs),
        fingerprint,
        notes,
    )
