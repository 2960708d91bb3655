"""The configured models: configurations taken over, folders looked at, labels."""

import asyncio
import pathlib
from collections.abc import Callable, Iterable

from absl import logging

from tfrec.serving.apis import grpc, model_pb2
from tfrec.serving.errors import ServingError
from tfrec.serving.server import versions
from tfrec.serving.server.lifecycle import ModelVersion, State
from tfrec.serving.server.manager import Manager
from tfrec.serving.server.model_config import (
    Config,
    ModelConfig,
    ModelRules,
    read_models,
)

Folders = dict[int, pathlib.Path]
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Models:
    """What is served, by a ModelServerConfig that can be replaced.

    Attributes:
        manager: of the versions.
        config: the present configuration.
        names: of the models in it.

    Args:
        manager: of the versions.
        rules: of configurations.
        allow_unavailable_labels: ServerConfig's
            `allow_version_labels_for_unavailable_models`.
    """

    def __init__(
        self, manager: Manager, rules: ModelRules, allow_unavailable_labels: bool
    ):
        self.manager = manager
        self.names: frozenset[str] = frozenset()
        self.config = Config()
        self._rules = rules
        self._allow_unavailable_labels = allow_unavailable_labels
        self._labels: dict[str, dict[str, int]] = {}
        self._complaints: dict[str, str] = {}
        self._followers: list[Callable[[Config], None]] = []
        self._reloading = asyncio.Lock()

    def follow(self, follower: Callable[[Config], None]) -> None:
        """Calls `follower` with the present configuration and with each later one."""
        self._followers.append(follower)
        follower(self.config)

    async def take(self, config: Config) -> dict[str, Folders]:
        """Replaces the configuration; models and versions follow by themselves.

        Returns: as `look`.
        Raises: ServingError: it breaks a rule; nothing has changed.
        """
        self._rules.check(config)
        labels = {m.name: self._checked_labels(m) for m in _models(config)}
        dropped = self.names - labels.keys()
        self.config, self.names, self._labels = config, frozenset(labels), labels
        for follower in self._followers:
            follower(config)
        for name in dropped:
            self._complaints.pop(name, None)
            self.manager.want(name, {})
        return await self.look()

    async def reload(self, config: Config) -> None:
        """Replaces the configuration and waits until models new in it are available.

        Raises: ServingError: it breaks a rule, or a new model can't be loaded.
        """
        async with self._reloading:
            old = self.names
            wanted = await self.take(config)
            new = [model for model in _models(config) if model.name not in old]
            for model in new:
                if not wanted.get(model.name):
                    raise ServingError(
                        grpc.StatusCode.NOT_FOUND,
                        "Unable to find a numerical version path for servable "
                        f"{model.name} at: {model.base_path}",
                    )
            await self.manager.wait_for([model.name for model in new])

    async def look(self) -> dict[str, Folders]:
        """Looks at the models' folders once, and sets the versions to have.

        Returns: by model, the folders of the versions that it should have.
        """
        config = self.config
        looks = await asyncio.to_thread(_look, config, self._rules)
        if config is not self.config:  # replaced meanwhile, and looked at since
            return {}
        wanted = {}
        for name, (folders, complaint) in looks.items():
            if complaint is None:
                self._complaints.pop(name, None)
            else:
                self._complain(name, complaint)
            if folders is not None:
                wanted[name] = folders
                self.manager.want(name, folders)
        return wanted

    async def keep_looking(self, seconds: float) -> None:
        """Looks at the folders again and again, `seconds` apart."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def keep_reading(self, path: pathlib.Path, seconds: float) -> None:
        """Takes over a configuration file whenever it has changed."""
        taken = self.config
        while True:
            await asyncio.sleep(seconds)
            try:
                config = read_models(path)
                if config != taken:
                    async with self._reloading:
                        await self.take(config)
                    taken = config
                self._complaints.pop(str(path), None)
            except (OSError, ServingError) as error:
                self._complain(str(path), f"The configuration stays: {error}")

    def resolve(self, spec: model_pb2.ModelSpec) -> ModelVersion:
        """The version that answers a request.

        Raises: ServingError: with TensorFlow Serving's codes and messages.
        """
        if not spec.name:
            raise ServingError(_INVALID, "ModelSpec has no name specified.")
        return self.manager.resolve(spec.name, self.number(spec))

    def number(self, spec: model_pb2.ModelSpec) -> int | None:
        """The version that a spec asks for by number or label; None: the latest.

        Raises: ServingError (INVALID_ARGUMENT): nobody knows the label.
        """
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return spec.version.value
        if choice is None:
            return None
        labels = self._labels.get(spec.name, {})
        if spec.version_label not in labels:
            raise ServingError(
                _INVALID, f"Unrecognized servable version label: {spec.version_label}"
            )
        return labels[spec.version_label]

    def _checked_labels(self, model: ModelConfig) -> dict[str, int]:
        available = {
            version.id.version
            for version in self.manager.versions(model.name)
            if version.state is State.AVAILABLE
        }
        old = self._labels.get(model.name, {})
        for label, number in model.version_labels.items():
            is_kept = old.get(label, number) == number
            if number in available or (self._allow_unavailable_labels and is_kept):
                continue
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Request to assign label to version {number} of model {model.name}, "
                "which is not currently available for inference",
            )
        return dict(model.version_labels)

    def _complain(self, about: str, message: str) -> None:
        """Logs what is wrong once, not at each look."""
        if self._complaints.get(about) != message:
            self._complaints[about] = message
            logging.warning("%s", message)


def _look(
    config: Config, rules: ModelRules
) -> dict[str, tuple[Folders | None, str | None]]:
    """By model, the wanted folders, or None, and what is wrong, or None."""
    looks: dict[str, tuple[Folders | None, str | None]] = {}
    for model in _models(config):
        try:
            # Each time: a link may lead elsewhere by now.
            found, problem = versions.found(rules.base_path(model))
        except ServingError as error:
            looks[model.name] = None, error.message
            continue
        except OSError as error:
            problem = f"Could not read base path {model.base_path}: {error}"
            looks[model.name] = None, problem
            continue
        wanted = versions.wanted(model.model_version_policy, found)
        looks[model.name] = wanted, problem
        if not wanted:
            looks[model.name] = (
                wanted,
                f"No versions of servable {model.name} found under base path "
                f"{model.base_path}. Did you forget to name your leaf directory as a "
                "number (eg. '/1/')?",
            )
    return looks


def _models(
    config: Config,
) -> Iterable[ModelConfig]:
    return config.model_config_list.config
