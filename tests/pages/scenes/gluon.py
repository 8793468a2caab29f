"""The page makes its files itself, with MXNet."""

NEEDS = ("mxnet", "ort")


def prepare(_: object) -> None:
    """Nothing."""
