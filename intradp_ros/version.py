"""The version of this package, whose one source is package.xml."""

import importlib.metadata
import os
import re
from pathlib import Path


def version() -> str:
    """Read it from the checkout, from the ROS installation, or from what pip noted at installation."""
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    for file in (Path(__file__).resolve().parents[1] / 'package.xml',
                 *(Path(p) / 'share' / 'intradp_ros' / 'package.xml' for p in prefixes if p)):
        if file.is_file():
            return re.search(r'<version>([^<]+)</version>', file.read_text()).group(1)
    return importlib.metadata.version('intradp_ros')
