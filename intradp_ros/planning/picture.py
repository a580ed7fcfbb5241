"""Pictures as files that are there whole or not at all."""

from io import BytesIO
from pathlib import Path

from intradp_ros import files
from intradp_ros.errors import ParameterError


def save(figure, path: Path) -> None:
    """
    Write a `matplotlib.figure.Figure` in the format of the file's suffix; PNG without one.

    Of a figure that pyplot has not made this needs no display, and leaves no state behind.

    :raises ParameterError: when there is no such format, or the file cannot be written.
    """
    data = BytesIO()
    try:
        figure.savefig(data, format=path.suffix.lstrip('.') or 'png')
    except ValueError as error:
        raise ParameterError(f'cannot draw {path}: {error}') from error
    files.write(path, data.getvalue())
