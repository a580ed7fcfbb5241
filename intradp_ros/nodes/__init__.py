"""The thin ROS layer: parameters, QoS, conversions, and one file a node."""
