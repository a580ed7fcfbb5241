"""Who decides a device's parameters: the parameter server, until an operator sets one by hand."""


class Ownership:
    """
    Compares what the server asked for with what the device says it has.

    A value that the server did not ask for was set by an operator; from then on it is theirs.
    """

    def __init__(self):
        self._requested: dict[str, object] = {}
        self.pinned: dict[str, object] = {}

    def request(self, name: str, value: object) -> bool:
        """Note that the server wants a value; False when an operator has pinned the parameter."""
        if name in self.pinned:
            return False
        self._requested[name] = value
        return True

    def on_changed(self, name: str, value: object) -> bool:
        """Note a change that the device reported; True when an operator has just pinned it."""
        if self._requested.get(name) == value or self.pinned.get(name) == value:
            return False
        self.pinned[name] = value
        return True

    def on_seen(self, values: dict[str, object]) -> None:
        """Release what is not as the operator set it: the device has restarted since."""
        for name in [n for n, v in self.pinned.items() if values.get(n, v) != v]:
            self.release(name)

    def release(self, name: str) -> None:
        """Give a parameter back to the server."""
        self.pinned.pop(name, None)
        self._requested.pop(name, None)
