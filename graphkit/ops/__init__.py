"""What each operator means: one room per operator or close family."""
