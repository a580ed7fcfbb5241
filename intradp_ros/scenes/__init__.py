"""Scenes of a robot's world with exact ground truth: objects -> render -> scene, video."""
