"""The error of everything that serves: a status code and a message for the client."""

from tfrec.serving.apis import grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}  # by their numbers


class ServingError(Exception):
    """A request, or a version, that can't be served.

    Attributes:
        code: `grpc.StatusCode`, as TensorFlow Serving would answer.
        message: names the thing, the rule and the value.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid(message: str) -> ServingError:
    """INVALID_ARGUMENT: what a client, or a file, gave is not as it must be."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
