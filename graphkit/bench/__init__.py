"""Benchmarks: the same model on several runtimes, checked against each other and then timed in turns."""
