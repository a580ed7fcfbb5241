"""Prints the requirements whose module cannot be imported here, and colcon if it is missing."""

import importlib.util
import sys

# Where the module is not called as the distribution is.
MODULES = {'opencv-python-headless': 'cv2', 'rosbags-image': 'rosbags.image',
           'scikit-image': 'skimage', 'pyyaml': 'yaml'}


def found(module: str) -> bool:
    """Say whether a module could be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


for line in open(sys.argv[1]):
    name = line.split('==')[0].strip().lower()
    if '==' in line and not found(MODULES.get(name, name.replace('-', '_'))):
        print(line.strip())
if not found('colcon_core'):
    print('colcon-common-extensions')
