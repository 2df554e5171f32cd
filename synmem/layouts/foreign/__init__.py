"""Layouts of other frameworks, one file each: data of the shapes in `shapes.py`, and functions."""
