"""
Planners, one module each: `find(name).plan(setup, link, objective) -> Plan`.

First what needs no search, then the cuts of the literature, then the systems that overlap, then
ours.
"""

from importlib import import_module
from types import ModuleType

from intradp_ros.errors import ParameterError

NAMES = ('local', 'offload', 'jpeg_offload', 'neurosurgeon', 'min_cut', 'cic', 'dynamic_split',
         'intra_dp', 'coacto', 'frontier')


def find(name: str) -> ModuleType:
    """
    Import a planner's module; its `plan` is a `Planner` (plan.py).

    :raises ParameterError: when there is none of this name.
    """
    if name not in NAMES:
        raise ParameterError(f'no planner is called {name!r}; there are: {", ".join(NAMES)}')
    return import_module(f'{__name__}.{name}')
