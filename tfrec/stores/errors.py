"""The errors of the stores."""


class StoreError(ValueError):
    """A rule of the stores is broken: the message names thing, rule and value."""


class StoreUnavailable(StoreError):  # noqa: N818
    """The store did not answer, or not in time. The same call may be made again."""
