"""Running a model once on one runtime: what it is fed, what it gives, how long it takes."""
