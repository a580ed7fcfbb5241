"""
What runs on each side, free of ROS: the device's session and the edge's.

Clocks and transports are passed in as functions; `intradp_ros.nodes` passes rclpy's.
"""
