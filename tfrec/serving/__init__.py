"""What serves the papers' exports, and asks servers.

`Client` and `AsyncClient` are imported when they are first used: they need the extra
`tfrec[serving]`, which the rest of what exports share does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrec.serving.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfrec.serving import client

    return getattr(client, name)
