"""Output layers that carry a loss."""
