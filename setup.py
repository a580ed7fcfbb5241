"""
`pip install .`: the ROS-free part and the `intradp` command. In a ROS workspace CMakeLists.txt is
used.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

manifest = Path(__file__).with_name('package.xml').read_text()

setup(
    name='intradp_ros',
    version=re.search(r'<version>([^<]+)</version>', manifest).group(1),
    description='Collaborative DNN inference between a robot and an edge server',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['intradp_ros', 'intradp_ros.*'],
                           exclude=['intradp_ros.nodes', 'intradp_ros.nodes.*']),
    package_data={'intradp_ros.model': ['weights/*']},
    install_requires=[
        'numpy', 'torch>=2.6', 'torchvision>=0.21', 'opencv-python-headless', 'pillow',
        'scipy', 'scikit-image', 'safetensors', 'tqdm', 'matplotlib', 'networkx'],
    extras_require={'eval': ['pycocotools']},
    entry_points={'console_scripts': ['intradp=intradp_ros.cli.main:main']},
)
