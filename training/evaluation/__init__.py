"""Evaluation of a bundle: its agreement with the teacher, and the report."""
