"""What a verification found, and the forms it is shown in."""
