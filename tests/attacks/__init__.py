"""Attacks on graphkit by the files that it is given: each is a test, and docs/attacks.md is the table of them.

A module is an area, and the first sentence of its docstring says what is attacked. A test is registered by the
decorator :func:`attacks.catalogue.attack`; `tools/docs generate` writes the table.
"""
