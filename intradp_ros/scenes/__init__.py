"""
What a camera shows: sources of images, and drawn scenes of a robot's world with exact ground
truth.
"""
