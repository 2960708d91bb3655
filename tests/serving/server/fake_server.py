"""`python -m tests.serving.server.fake_server`: the server, with fake workers."""

import dataclasses

from absl import app

from tests.serving.server import fakes
from tfrec.serving.server import __main__ as server
from tfrec.serving.server.config import ServerConfig

real_config = server._server_config


def fake_config() -> ServerConfig:
    """What the flags say, but for the workers."""
    config = real_config()
    workers = dataclasses.replace(config.workers, command=fakes.COMMAND, flags=())
    return dataclasses.replace(config, workers=workers)


if __name__ == "__main__":
    server._server_config = fake_config
    app.run(server.main)
