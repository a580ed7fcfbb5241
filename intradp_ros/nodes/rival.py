"""The rival of a plan (`runtime.exploration`), as fields of a Plan message."""

from intradp_ros.errors import ParameterError
from intradp_ros.msg import Plan
from intradp_ros.nodes.device_parameters import LIVE
from intradp_ros.runtime.modes import Decision

# What plans decide: parameters of the device, and fields of a Plan and of a Decision.
DECIDED = ('way', 'merge', 'device_share', 'halo_px', 'tile_count', 'codec')
_NAMES = (*DECIDED, 'new')


def fields(rival: Decision | None) -> dict[str, object]:
    """Give the fields of a Plan by name; nothing for no rival."""
    return {f'rival_{name}': getattr(rival, name) for name in _NAMES} if rival else {}


def read(plan: Plan) -> Decision | None:
    """
    Read these fields.

    :raises ParameterError: when the device's parameters of the same names could not have them.
    """
    values = {name: getattr(plan, f'rival_{name}') for name in _NAMES}
    if not values['way']:
        return None
    for parameter in LIVE:
        if parameter.name in values and (fault := parameter.fault(values[parameter.name])):
            raise ParameterError(f'rival of plan {plan.number}: {fault}')
    return Decision(**values)
