"""MXNet: symbols and parameter files read and written natively, MXNet itself only ever run."""
