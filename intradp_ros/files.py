"""Files that are there whole or not at all."""

import os
from pathlib import Path

from intradp_ros.errors import ParameterError


def write(path: Path, data: bytes) -> None:
    """
    Write a file under a temporary name beside it, then give it its own.

    :raises ParameterError: when that cannot be done, with the reason.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.new')
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise ParameterError(f'cannot write {path}: {error}') from error
    finally:
        temporary.unlink(missing_ok=True)
