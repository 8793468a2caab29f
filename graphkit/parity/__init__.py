"""Are two runs the same: inputs, metrics, tolerances, verification."""
