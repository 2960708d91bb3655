"""Ports to listen on."""

import socket


def bound(flag: str, host: str, port: int) -> socket.socket:
    """A socket that has the port, and does not listen yet.

    Args:
        flag: that the port is from.
    Raises: OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio sends small answers at once (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(
            f"`--{flag}` must be a port of {host} that is free and that this user may "
            "listen on: end what listens there, or choose another one. "
            f"Received: {port} ({error.strerror})"
        ) from error
    return listener
