"""Helpers that tests and benchmarks share; no part of the package."""
