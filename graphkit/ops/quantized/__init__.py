"""Operators on numbers of few bits."""
