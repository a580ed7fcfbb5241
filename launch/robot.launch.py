"""The robot's side: device node, parameter server and, if asked for, a camera."""

from launch.actions import DeclareLaunchArgument
from launch.conditions import LaunchConfigurationNotEquals
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description():
    """Describe the nodes."""
    config = PathJoinSubstitution([FindPackageShare('intradp_ros'), 'config', 'robot.yaml'])
    arguments = [
        DeclareLaunchArgument('namespace', default_value='robot',
                              description='Namespace of this robot; each robot needs its own'),
        DeclareLaunchArgument('params_file', default_value=config,
                              description='Parameter file of device_node, parameter_server and '
                                          'camera_node'),
        DeclareLaunchArgument('image', default_value='image',
                              description='Topic of the camera, such as /camera/image_raw'),
        DeclareLaunchArgument('camera', default_value='none',
                              description='Source of a camera_node to start (photographs, scenes, '
                                          'folder, video, device); none: the camera is there'),
        DeclareLaunchArgument('log_level', default_value='info', description='Log level'),
    ]
    common = {
        'package': 'intradp_ros',
        'namespace': LaunchConfiguration('namespace'),
        'output': 'screen',
        'remappings': [('image', LaunchConfiguration('image'))],
        'arguments': ['--ros-args', '--log-level', LaunchConfiguration('log_level')],
    }
    params = LaunchConfiguration('params_file')
    return LaunchDescription([
        *arguments,
        Node(executable='device_node', parameters=[params], **common),
        Node(executable='parameter_server', parameters=[params], **common),
        Node(executable='camera_node',
             parameters=[params, {'source': LaunchConfiguration('camera')}],
             condition=LaunchConfigurationNotEquals('camera', 'none'), **common),
    ])
