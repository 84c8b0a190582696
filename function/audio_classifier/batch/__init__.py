"""Classify many inputs and store their results, resumably."""
