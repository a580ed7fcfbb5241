"""How commands end that leave nothing behind but files."""

import sys
from collections.abc import Callable
from typing import NoReturn


def leave(main: Callable[[], int]) -> NoReturn:
    """Exit with the code of a command: 130 after Ctrl-C, as shells do, and without a traceback."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
