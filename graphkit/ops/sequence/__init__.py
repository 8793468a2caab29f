"""Sequences of tensors, which torch source holds in lists, and optional values, which are None where absent."""
