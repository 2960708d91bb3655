"""SSLConfig files."""

import pytest

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server import tls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server_key: 'a'", "must have `server_cert`, in PEM format"),
        ("server_cert: 'a'", "must have `server_key`, in PEM format"),
        (
            "server_key: 'a' server_cert: 'b' client_verify: true",
            "must have `custom_ca`, in PEM format",
        ),
        ("server_key: 'a' server_cert: 'b'", "must have a key and its certificate"),
        ("server_key {", "must be an SSLConfig in text format"),
        ("key: 'a'", "must be an SSLConfig in text format"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "ssl.config"
    path.write_text(text)
    with pytest.raises(ServingError, match=message) as error:
        tls.credentials(path)
    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert str(path) in error.value.message


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        tls.credentials(tmp_path / "missing")
