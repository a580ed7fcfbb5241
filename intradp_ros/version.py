"""The version of this package, whose one source is package.xml."""

import importlib.metadata
import os
import re
from pathlib import Path


def version() -> str:
    """
    Read it from the checkout, from the ROS installation, or from what pip noted at
    installation.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    for file in (Path(__file__).resolve().parents[1] / 'package.xml',
                 *(Path(p) / 'share' / 'intradp_ros' / 'package.xml' for p in prefixes if p)):
        found = file.is_file() and re.search(r'<version>([^<]+)</version>', file.read_text())
        if found:
            return found.group(1)
    return importlib.metadata.version('intradp_ros')
