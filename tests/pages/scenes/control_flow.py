"""The page makes its files itself, with MXNet."""

NEEDS = ("mxnet",)


def prepare(_: object) -> None:
    """Nothing."""
