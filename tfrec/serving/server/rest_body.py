"""Reads a request's body: no more than a limit, no longer than a timeout."""

import asyncio
import zlib

from starlette.exceptions import HTTPException
from starlette.requests import Request

from tfrec.serving.errors import invalid

_MAX_LENGTH_DIGITS = 18
_GZIP = 16 + zlib.MAX_WBITS


async def read(request: Request, max_bytes: int, timeout: float) -> bytes:
    """Returns the body as it was sent.

    Args:
        max_bytes: the limit; nothing is read of a body that says it is longer.
        timeout: seconds until its end must have come.
    Raises: HTTPException: 413: it is longer; 408: it came too slowly, and the
        connection is closed.
    """
    declared = request.headers.get("content-length", "0")
    if len(declared) > _MAX_LENGTH_DIGITS or int(declared) > max_bytes:
        raise _too_large(max_bytes, declared)
    try:
        return await asyncio.wait_for(_collect(request, max_bytes), timeout)
    except asyncio.TimeoutError as error:
        raise HTTPException(
            408,
            f"The body must arrive within {timeout:g} s.",
            headers={"connection": "close"},
        ) from error


async def _collect(request: Request, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes, f"{size} or more")
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(max_bytes: int, received: str) -> HTTPException:
    return HTTPException(
        413, f"The body must have at most {max_bytes} bytes. Received: {received}"
    )


def is_compressed(request: Request) -> bool:
    """Whether the body is gzip: TensorFlow Serving takes that too."""
    return "gzip" in request.headers.get("content-encoding", "")


def decompress(body: bytes, max_bytes: int) -> bytes:
    """Returns the content of a body in gzip.

    Raises:
        HTTPException: 413: the content is longer than the limit.
        ServingError: INVALID_ARGUMENT: it is no gzip.
    """
    stream = zlib.decompressobj(_GZIP)
    try:
        content = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise invalid(f"Failed to uncompress the gzipped body: {error}") from error
    if len(content) > max_bytes:
        raise _too_large(max_bytes, f"{len(content)} or more, uncompressed")
    if not stream.eof:
        raise invalid("Failed to uncompress the gzipped body: it has no end")
    return content
