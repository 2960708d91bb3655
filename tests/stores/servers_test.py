"""The servers of these tests take another port where theirs was taken meanwhile."""

import socket

from tests.stores import servers


def test_a_port_that_was_taken_meanwhile(tmp_path):
    server = servers.Server(tmp_path)
    with socket.socket() as other:
        other.bind((servers.HOST, server.port))
        other.listen()
        taken = server.port
        with servers.running(server), server.client() as client:
            assert server.port != taken
            assert client.ping()
