"""What a model is made of and what it costs, and how two models differ."""
