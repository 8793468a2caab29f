"""Random numbers, and the densities of distributions.

Every framework has a generator of its own, so that no two draw the same numbers from one seed: what agrees is the
distribution. Seeds of nodes are therefore left out where the target has none for single operators.
"""
