"""Measure models on labelled recordings."""
