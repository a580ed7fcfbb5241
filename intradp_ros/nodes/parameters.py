"""
Parameter tables: one source for each default, range, unit and text.

A node declares its table with `declare`; config/*.yaml and the README's tables are written from
the same tables (`python -m intradp_ros.nodes.reference --write`), and a test holds them against
each other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as Value

from intradp_ros.errors import ParameterError


@dataclass(frozen=True)
class Parameter:
    """
    One parameter of a node.

    `low` and `high` bound numbers, `choices` texts. A `live` one may be set at any time; the
    others only while the node is not active, because a model or a subscription hangs on them.
    """

    name: str
    default: bool | int | float | str | list[str]
    text: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    check: Callable[[object], str] | None = None

    @property
    def range_text(self) -> str:
        """The values it may have, for people."""
        if self.choices:
            return ', '.join(f'"{c}"' if c else '""' for c in self.choices)
        if self.low is not None:
            return f'{self.low:g} to {self.high:g}'
        return {bool: 'true, false', str: 'text', list: 'list of texts'}[type(self.default)]

    def fault(self, value: object) -> str:
        """Say why a value of the right type cannot be, or ''."""
        if self.choices and value not in self.choices:
            return f'{self.name} must be one of {self.range_text}, not {value!r}'
        if self.low is not None and not self.low <= value <= self.high:
            return f'{self.name} must lie in {self.range_text} {self.unit}, not {value!r}'
        return self.check(value) if self.check else ''

    def descriptor(self) -> ParameterDescriptor:
        """Describe it for `ros2 param describe`."""
        text = f'{self.text} [{self.unit}]' if self.unit else self.text
        described = ParameterDescriptor(
            description=text, additional_constraints='' if self.low is not None
            else self.range_text)
        if self.low is not None and isinstance(self.default, float):
            described.floating_point_range = [
                FloatingPointRange(from_value=float(self.low), to_value=float(self.high))]
        elif self.low is not None:
            described.integer_range = [
                IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)]
        return described


AUTOSTART = Parameter('autostart', True, 'Configure and activate at the start; false: wait for a '
                      'lifecycle manager')


def declare(node: Node, table: Iterable[Parameter], active: Callable[[], bool]) -> None:
    """
    Declare a table and watch over its changes.

    :param active: whether the node is at work, so that only `live` parameters may change.
    :raises ParameterError: when a start value (file, command line) cannot be.
    """
    by_name = {p.name: p for p in table}
    for parameter in by_name.values():
        try:
            node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
        except Exception as error:  # rclpy's several exceptions name neither range nor unit
            raise ParameterError(f'parameter {parameter.name} ({parameter.range_text} '
                                 f'{parameter.unit}): {error}') from error
        fault = parameter.fault(node.get_parameter(parameter.name).value)
        if fault:
            raise ParameterError(fault)

    def judge(changes: list[Value]) -> SetParametersResult:
        for change in changes:
            parameter = by_name.get(change.name)
            if parameter is None:
                continue
            if not parameter.live and active():
                return SetParametersResult(successful=False, reason=(
                    f'{change.name} can be set only while {node.get_name()} is not active '
                    f'(ros2 lifecycle set {node.get_fully_qualified_name()} deactivate)'))
            fault = parameter.fault(change.value)
            if fault:
                return SetParametersResult(successful=False, reason=fault)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(judge)


def values(node: Node, table: Iterable[Parameter]) -> dict[str, object]:
    """Read the current values of a table."""
    return {p.name: node.get_parameter(p.name).value for p in table}
