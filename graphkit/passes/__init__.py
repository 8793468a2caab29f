"""Canonical to canonical, one pass per file."""
