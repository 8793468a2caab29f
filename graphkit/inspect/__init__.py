"""What a model consists of: summaries, costs, differences."""
