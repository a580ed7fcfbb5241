"""
Collaborative DNN inference between a robot and an edge server, in ROS 2.

The dataflow, which is also the order of the folders::

    camera image -> preprocess (uint8 model input) -> tiles -> Tile messages over DDS
      -> assembler -> edge resumes the graph -> postprocess -> Detection2DArray

`model`, `tiling`, `planning` and `runtime` know nothing of ROS; `nodes` is the thin layer that
does.
"""

from pkgutil import extend_path

# The generated messages (intradp_ros.msg) live in the install space: a checkout on sys.path finds
# them there.
__path__ = extend_path(__path__, __name__)
