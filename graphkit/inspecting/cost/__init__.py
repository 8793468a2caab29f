"""What a model costs: multiply-adds, memory, and what of it gradients take."""
