"""
Everything on one machine: camera, robot, edge, and an observer that counts, compares and ends it.
"""

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description():
    """Describe the nodes."""
    share = FindPackageShare('intradp_ros')

    def include(name, **arguments):
        return IncludeLaunchDescription(
            PathJoinSubstitution([share, 'launch', name]), launch_arguments=arguments.items())

    observer = Node(
        package='intradp_ros', executable='demo_observer', namespace='robot', output='screen',
        parameters=[{
            'frames': ParameterValue(LaunchConfiguration('frames'), value_type=int),
            'out': LaunchConfiguration('out')}])
    return LaunchDescription([
        DeclareLaunchArgument('frames', default_value='60', description='Frames to process'),
        DeclareLaunchArgument('out', default_value='demo',
                              description='Folder for detections.png and summary.json'),
        DeclareLaunchArgument('camera', default_value='scenes',
                              description='Source of the camera node'),
        include('robot.launch.py', namespace='robot', camera=LaunchConfiguration('camera')),
        include('edge.launch.py', namespace='edge'),
        observer,
        RegisterEventHandler(OnProcessExit(
            target_action=observer, on_exit=[Shutdown(reason='the demo is over')])),
    ])
