"""TLS by TensorFlow Serving's SSLConfig, which `tensorflow-serving-api` lacks."""

import pathlib
from concurrent import futures
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError

_FIELDS = {
    "server_key": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "server_cert": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "custom_ca": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "client_verify": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}


def credentials(path: pathlib.Path) -> grpc.ServerCredentials:
    """What a server listens with, by an SSLConfig in text format.

    Its fields hold certificates and keys themselves, in PEM format. As in TensorFlow
    Serving, `custom_ca` counts only with `client_verify`: clients must then have a
    certificate that it signed.

    Raises:
        FileNotFoundError: there is no such file.
        ServingError (INVALID_ARGUMENT): it is no SSLConfig, or a field is missing or
            holds no key or certificate.
    """
    config = _read(path)
    for field in ("server_key", "server_cert"):
        _require(path, config, field)
    if config.client_verify:
        _require(path, config, "custom_ca")
    pair = config.server_key.encode(), config.server_cert.encode()
    made = grpc.ssl_server_credentials(
        [pair],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
    _try(path, made)
    return made


def _read(path: pathlib.Path) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), _ssl_config())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`{path}` must be an SSLConfig in text format. Received: {error}",
        ) from error


def _try(path: pathlib.Path, made: grpc.ServerCredentials) -> None:
    """Listens for a moment: gRPC looks at keys and certificates no sooner."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    try:
        server.add_secure_port("127.0.0.1:0", made)
        server.start()  # else `stop` leaves the port open
    except RuntimeError as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`{path}` must have a key and its certificate in PEM format: gRPC does "
            "not accept those that it has.",
        ) from error
    finally:
        server.stop(None).wait()


def _require(path: pathlib.Path, config: Any, field: str) -> None:
    if not getattr(config, field):
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`{path}` must have `{field}`, in PEM format.",
        )


def _ssl_config() -> Any:
    """An empty SSLConfig, of a type that is made here."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tensorflow_serving/config/ssl_config.proto",
        package="tensorflow.serving",
        syntax="proto3",
    )
    message = file.message_type.add(name="SSLConfig")
    for number, (name, kind) in enumerate(_FIELDS.items(), 1):
        message.field.add(
            name=name,
            number=number,
            type=kind,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("tensorflow.serving.SSLConfig")
    return message_factory.GetMessageClass(descriptor)()
