"""One folder per framework, the same file names in each."""
