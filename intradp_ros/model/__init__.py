"""Detectors that can be split: zoo -> detector (preprocess, dense part, postprocess)."""
