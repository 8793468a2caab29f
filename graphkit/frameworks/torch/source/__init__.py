"""Torch modules as source text: a canonical model becomes a program, classes, and what a person would have written."""
