"""The server as a process: its start, its end, and how it is killed; fake workers."""

import pathlib
import signal
import subprocess
import threading

import pytest

from tests.serving.server import fakes, running
from tfrec.serving.apis import grpc, predict_pb2

MODULE = "tests.serving.server.fake_server"
PREDICT = "/tensorflow.serving.PredictionService/Predict"


def flags_of(models) -> list[str]:
    return ["--model_name=half", f"--model_base_path={models}"]


def ask(channel, timeout: float = 60.0) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    return channel.unary_unary(PREDICT)(request.SerializeToString(), timeout=timeout)


@pytest.fixture
def serving(tmp_path):
    """A function: flags -> a running server of the fake versions in `half`."""

    def serve(*flags: str, **options):
        every = (*flags_of(tmp_path / "half"), *flags)
        return running.running(tmp_path, *every, module=MODULE, **options)

    return serve


def failed_start(folder, *flags: str) -> str:
    """What a server that can't start wrote."""
    process, log = running.start(folder, *flags, module=MODULE)
    with process:
        assert process.wait(240.0) == 1
    return log.read_text(errors="replace")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "`--model_base_path` or `--model_config_file` must be given"),
        (("--model_base_path=/missing",), "Could not find base path /missing"),
        (("--model_config_file=/missing",), "No such file or directory: '/missing'"),
        (
            ("--model_base_path=/tmp", "--batching_parameters_file=x"),
            "without setting `--enable_batching`",
        ),
        (
            ("--model_base_path=/tmp", "--drain_seconds=-1"),
            "`drain_seconds` must be at least 0",
        ),
        (
            ("--model_base_path=/tmp", "--drain_seconds=inf"),
            "`drain_seconds` must be at least 0. Received: inf",
        ),
        (
            ("--model_base_path=/tmp", "--rest_api_port=99999"),
            "`rest_api_port` must be from 0 to 65535. Received: 99999",
        ),
        (
            ("--model_base_path=/tmp", "--rest_api_timeout_in_ms=-1"),
            "`rest_api_timeout_in_ms` must be from 1 to",
        ),
        (
            ("--model_base_path=/tmp", "--max_message_bytes=-1"),
            "`max_message_bytes` must be from 1 to",
        ),
        (
            (
                *("--model_base_path=/tmp", "--enable_batching"),
                "--batching_parameters_file=/missing",
            ),
            "`/missing` must be a readable file",
        ),
        (
            ("--model_base_path=/tmp", "--ssl_config_file=/missing"),
            "No such file or directory: '/missing'",
        ),
    ],
)
def test_bad_flags_end_the_start(tmp_path, flags, message):
    assert message in failed_start(tmp_path, "--port=0", *flags)


def test_a_broken_version_ends_the_start_and_is_named(tmp_path):
    fakes.write(tmp_path / "half", 1, fail="no graph")
    flags = (*flags_of(tmp_path / "half"), "--max_num_load_retries=0")
    assert (
        "1 model(s) did not become available: {{{name: half version: 1} due to error: "
        "INVALID_ARGUMENT: no graph}}"
    ) in failed_start(tmp_path, "--port=0", *flags)


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_a_port_that_is_taken_is_named(tmp_path, serving, flag):
    fakes.write(tmp_path / "half", 1)
    with serving(rest=True) as server:
        address = server.address if flag == "port" else server.rest_address
        port = address.rpartition(":")[2]
        flags = ("--port=0", f"--{flag}={port}", *flags_of(tmp_path / "half"))
        text = failed_start(tmp_path, *flags)
    assert f"`--{flag}` must be a port of 127.0.0.1 that is free" in text
    assert f"Received: {port} (Address already in use)" in text


def test_nothing_is_accepted_before_the_model_is_there_and_a_signal_ends_that(tmp_path):
    folder = fakes.write(tmp_path / "half", 1, hang=True)
    port = running.free_port()
    flags = (f"--port={port}", *flags_of(tmp_path / "half"))
    process, _ = running.start(tmp_path, *flags, module=MODULE)
    with process, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        running.until(lambda: fakes.starts(folder))
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            ask(channel)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60.0) == 0
        assert not any(map(fakes.is_alive, fakes.starts(folder)))


def test_a_first_version_may_come_after_the_start(tmp_path):
    models = tmp_path / "half"
    models.mkdir()
    flags = ("--port=0", "--file_system_poll_wait_seconds=0.02", *flags_of(models))
    process, log = running.start(tmp_path, *flags, module=MODULE)
    with process:
        running.until(lambda: "No versions of servable half" in log.read_text())
        fakes.write(models, 1)
        try:
            assert "models: half (1)" in process.stdout.readline()
        finally:
            process.terminate()


def test_a_killed_front_leaves_no_worker_not_even_one_that_loads(tmp_path, serving):
    fakes.write(tmp_path / "half", 1)
    with serving("--file_system_poll_wait_seconds=0.02") as server:
        loading = fakes.write(tmp_path / "half", 2, hang=True)
        running.until(lambda: fakes.starts(loading))
        workers = server.workers()
        assert len(workers) == 2
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        running.until(lambda: not any(map(fakes.is_alive, workers)))


def test_a_killed_worker_is_replaced(tmp_path, serving):
    fakes.write(tmp_path / "half", 1)
    with serving() as server, server.channel() as channel:
        worker = fakes.pid_of(ask(channel))
        codes = set()

        def is_answered() -> bool:
            try:
                return fakes.pid_of(ask(channel)) != worker
            except grpc.RpcError as error:
                codes.add(error.code())
                return False

        fakes.signal(worker, signal.SIGKILL)
        running.until(is_answered)
        assert codes <= {grpc.StatusCode.UNAVAILABLE}
        assert len(server.workers()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_after_the_requests(tmp_path, serving, number):
    folder = fakes.write(tmp_path / "half", 1, wait=True)
    with serving() as server, server.channel() as channel, server.channel() as later:
        workers, answers = server.workers(), []
        client = threading.Thread(target=lambda: answers.append(ask(channel)))
        client.start()
        running.until((folder / "waits").exists)
        server.process.send_signal(number)
        running.until(lambda: is_refused(later))
        assert server.process.poll() is None
        (folder / "go").touch()
        client.join()
        assert server.process.wait(60.0) == 0
    assert answers[0].startswith(b"half/1/")
    assert not any(map(fakes.is_alive, workers))


def is_refused(channel) -> bool:
    try:
        ask(channel, timeout=0.05)
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


def test_tls(tmp_path, serving):
    for name in ("server", "client"):
        _make_certificate(tmp_path, name)
    pem = {path.name: path.read_text() for path in tmp_path.glob("*.pem")}
    (tmp_path / "ssl.config").write_text(
        f"server_key: {_quoted(pem['server-key.pem'])}\n"
        f"server_cert: {_quoted(pem['server-cert.pem'])}\n"
        f"custom_ca: {_quoted(pem['client-cert.pem'])}\n"
        "client_verify: true\n"
    )
    fakes.write(tmp_path / "half", 1)
    with serving(f"--ssl_config_file={tmp_path / 'ssl.config'}") as server:
        root = pem["server-cert.pem"].encode()
        key, chain = (pem[f"client-{n}.pem"].encode() for n in ("key", "cert"))
        options = [("grpc.ssl_target_name_override", "localhost")]
        trusted = grpc.ssl_channel_credentials(root, key, chain)
        with grpc.secure_channel(server.address, trusted, options) as channel:
            assert ask(channel).startswith(b"half/1/")
        running.until(lambda: _num_listeners(server.process.pid) == 1)
        stranger = grpc.ssl_channel_credentials(root)
        with (
            grpc.secure_channel(server.address, stranger, options) as channel,
            pytest.raises(grpc.RpcError, match="UNAVAILABLE"),
        ):
            ask(channel)
        with server.channel() as channel, pytest.raises(grpc.RpcError):
            ask(channel)


def _num_listeners(pid: int) -> int:
    """How many TCP ports a process listens on."""
    process = pathlib.Path("/proc", str(pid))
    own = {str(path.readlink()) for path in (process / "fd").iterdir()}
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in (process / "net" / name).read_text().splitlines()[1:]
    ]
    listening = "0A"
    return sum(
        words[3] == listening and f"socket:[{words[9]}]" in own for words in lines
    )


def _make_certificate(folder, name: str) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / f"{name}-key.pem"),
            *("-out", folder / f"{name}-cert.pem"),
        ],
        check=True,
        capture_output=True,
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\n", "\\n") + "'"
