"""The edge server's side: one node that serves every robot in reach."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description():
    """Describe the node."""
    config = PathJoinSubstitution([FindPackageShare('intradp_ros'), 'config', 'edge.yaml'])
    return LaunchDescription([
        DeclareLaunchArgument('namespace', default_value='edge',
                              description='Namespace of the edge server itself'),
        DeclareLaunchArgument('params_file', default_value=config,
                              description='Parameter file of edge_node'),
        DeclareLaunchArgument('log_level', default_value='info', description='Log level'),
        Node(package='intradp_ros', executable='edge_node', output='screen',
             namespace=LaunchConfiguration('namespace'),
             parameters=[LaunchConfiguration('params_file')],
             arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')]),
    ])
