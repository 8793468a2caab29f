"""Element-wise arithmetic, comparison, activation, reduction and matrix products."""
