"""Branches and loops: operators with graphs of their own."""
