"""Operators of MXNet's NumPy interface that no operator of its older interface equals."""
