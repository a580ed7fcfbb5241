"""Every exception that intradp_ros raises on purpose; each message holds the facts to act on."""


class IntraDPError(Exception):
    """Root of the tree: `except IntraDPError` catches all that this package raises on purpose."""


class ModelError(IntraDPError):
    """A model cannot be built, loaded, captured or run as asked."""


class ModelMismatchError(ModelError):
    """Two sides of a split run different models."""


class TileError(IntraDPError):
    """A tile is malformed, does not belong to its frame, or arrived too late."""


class ParameterError(IntraDPError):
    """A parameter or option has a value that cannot work."""


class ImageError(IntraDPError):
    """An image cannot be decoded or converted."""
