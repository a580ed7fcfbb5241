"""
Profiles as files: JSON that people can read, one tensor and one operator a line.

The file holds the graph's skeleton, so whoever plans needs neither the model nor its weights.
"""

import json
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any

from intradp_ros import files
from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Graph
from intradp_ros.planning import skeleton
from intradp_ros.planning.profile import (
    VERSION,
    CodecCost,
    Measured,
    Power,
    Profile,
    Staircase,
)

FORMAT = 'intradp_ros profile'
# Fields that are one word each, written as they are.
_PLAIN = ('model', 'fingerprint', 'host', 'processor', 'threads', 'torch', 'created', 'note',
          'has_geometry', 'band_call', 'message_seconds', 'message_compute', 'message_idle',
          'before', 'after', 'result_bytes')


def save(profile: Profile, path: str | Path) -> None:
    """Write a profile; raises ParameterError when the file cannot be written."""
    graph = profile.graph
    head: dict[str, Any] = {'format': FORMAT, 'version': VERSION}
    head |= {name: getattr(profile, name) for name in _PLAIN}
    head['power'] = asdict(profile.power)
    head['measured'] = asdict(profile.measured) if profile.measured else None
    head |= {'input': graph.input, 'outputs': list(graph.outputs)}
    least = profile.least_rows or [1] * len(graph.operators)
    lists = {
        'codecs': [asdict(c) for c in profile.codecs],
        'tensors': [skeleton.plain_tensor(t) for t in graph.tensors],
        'operators': [{**skeleton.plain_operator(o, graph.tensors),
                       'least': n, 'rows': s.rows, 'seconds': s.seconds}
                      for o, n, s in zip(graph.operators, least, profile.seconds)],
    }
    lines = [f' {json.dumps(key)}: {json.dumps(value)}' for key, value in head.items()]
    for key, entries in lists.items():
        inside = ''.join(f'\n  {json.dumps(entry)},' for entry in entries).rstrip(',')
        lines.append(f' {json.dumps(key)}: [{inside}]')
    files.write(Path(path), ('{\n' + ',\n'.join(lines) + '\n}\n').encode())


def load(path: str | Path, graph: Graph | None = None) -> Profile:
    """
    Read a profile.

    :param graph: the model that it has to be of; the profile then has this graph, kernels and
        all, in place of the skeleton.
    :raises ParameterError: when the file cannot be read, is no profile, is of another version or
        of another model.
    """
    path = Path(path)
    try:
        plain = json.loads(path.read_bytes())
    except OSError as error:
        raise ParameterError(f'cannot read profile {path}: {error}') from error
    except ValueError as error:
        raise ParameterError(f'{path} is no profile, or only a part of one: {error}') from error
    if not isinstance(plain, dict) or plain.get('format') != FORMAT:
        raise ParameterError(f'{path} is no profile (it does not say "format": "{FORMAT}")')
    if plain.get('version') != VERSION:
        raise ParameterError(f'{path} is a profile of version {plain.get("version")}, this '
                             f'program reads version {VERSION}: measure again with '
                             f'`intradp profile`')
    try:
        profile = _profile(plain)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, ParameterError) as error:
        text = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise ParameterError(f'{path} is a broken profile: {text}') from error
    if graph is None:
        return profile
    if profile.fingerprint != graph.fingerprint or \
            len(profile.seconds) != len(graph.operators):
        raise ParameterError(
            f'{path} is a profile of {profile.model} with fingerprint {profile.fingerprint}, '
            f'this model has {graph.fingerprint}: other weights, another input size or another '
            f'model; measure it with `intradp profile`')
    return replace(profile, graph=graph)


def _profile(plain: dict[str, Any]) -> Profile:
    tensors = tuple(skeleton.tensor_from(n, t) for n, t in enumerate(plain['tensors']))
    operators = tuple(skeleton.operator_from(n, o, tensors)
                      for n, o in enumerate(plain['operators']))
    graph = Graph(tensors, operators, int(plain['input']), tuple(map(int, plain['outputs'])),
                  str(plain['fingerprint']))
    if not 0 <= graph.input < len(tensors):
        raise ValueError(f'input {graph.input} is none of {len(tensors)} tensors')
    skeleton.check_order(graph)
    seconds = tuple(Staircase(tuple(map(int, o['rows'])), tuple(_number(s) for s in o['seconds']))
                    for o in plain['operators'])
    # Profiles that were measured before there were these fields are none the worse.
    plain = {'message_compute': 0.0, 'band_call': 0.0} | plain
    plain = {'message_idle': plain['message_compute']} | plain
    simple: dict[str, Any] = {name: _READ.get(name, str)(plain[name]) for name in _PLAIN}
    measured = plain['measured']
    least = tuple(int(o['least']) for o in plain['operators'])
    return Profile(
        **simple, graph=graph, seconds=seconds,
        power=Power(**{k: _number(v) for k, v in plain['power'].items()}),
        codecs=tuple(CodecCost(**c) for c in plain['codecs']),
        measured=Measured(**measured) if measured else None,
        least_rows=() if set(least) <= {1} else least)


def _number(value: Any) -> float:
    number = float(value)
    if not isfinite(number) or number < 0:
        raise ValueError(f'times, sizes and watts are 0 or more, got {value}')
    return number


_READ: dict[str, Any] = {'threads': int, 'has_geometry': bool, 'message_seconds': _number,
                         'message_compute': _number, 'message_idle': _number,
                         'band_call': _number,
                         'before': _number, 'after': _number, 'result_bytes': int}
