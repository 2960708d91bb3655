"""The dtypes that a version's signatures have, asked once a version.

JSON has no dtypes: they are those of the version that answers. So a request goes to a
version, also where its client asks for the latest or for a label: the version is looked
up first, its dtypes are those asked for once and kept, and the request names it. Where
that version went away meanwhile, or its number was given to another model, `newer` says
what to try instead.
"""

import dataclasses
from typing import Protocol

from tfrec.serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    grpc,
    model_pb2,
)
from tfrec.serving.errors import ServingError
from tfrec.serving.server.rest_predict import Signatures

METADATA_FIELD = "signature_def"
MAX_VERSIONS = 64
_AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)
_UNFIT = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


class Core(Protocol):
    """What REST needs of the server: `tfrec.serving.server.core.Core`."""

    async def forward(
        self,
        method: str,
        spec: model_pb2.ModelSpec,
        payload: bytes,
        timeout: float | None,
    ) -> bytes:
        """Sends a serialised request to a version, returns the serialised answer."""

    def status(
        self, spec: model_pb2.ModelSpec
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the states of a model's versions, or of the one in `spec`."""


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A version and its signatures' dtypes.

    Attributes:
        spec: the model and the version.
        is_kept: whether the signatures are from an earlier request.
    """

    spec: model_pb2.ModelSpec
    signatures: Signatures
    is_kept: bool


class KeptSignatures:
    """Signatures of the last versions that were asked for.

    Args:
        core: the server.
    """

    def __init__(self, core: Core):
        self._core = core
        self._kept: dict[tuple[str, int], Signatures] = {}

    async def resolve(self, spec: model_pb2.ModelSpec, timeout: float) -> Resolved:
        """Returns the version that answers `spec` now.

        Raises: ServingError: there is none, with the server's code and message.
        """
        version = self._version(spec)
        if version is not None and (kept := self._kept.get((spec.name, version))):
            return Resolved(_pinned(spec.name, version), kept, is_kept=True)
        return await self._ask(spec, timeout)

    async def newer(
        self,
        spec: model_pb2.ModelSpec,
        failed: Resolved,
        error: ServingError,
        timeout: float,
    ) -> Resolved | None:
        """Returns what a failed request is to be tried with once more, if anything.

        Args:
            spec: what the client asks for.
            failed: the version that it was tried with.
            error: what came of that.
        Returns: another version, if `spec` means another one now, or the same one, if
            its signatures are not the kept ones. None: the error stands.
        """
        if error.code in _GONE and not spec.HasField("version"):
            if self._version(spec) != failed.spec.version.value:
                return await self.resolve(spec, timeout)
        elif error.code in _UNFIT and failed.is_kept:
            asked = await self._ask(failed.spec, timeout)
            if asked.signatures != failed.signatures:
                return asked
        return None

    def _version(self, spec: model_pb2.ModelSpec) -> int | None:
        """The version that `spec` means now, None if only the server can say."""
        if spec.HasField("version"):
            return spec.version.value
        try:
            states = self._core.status(spec).model_version_status
        except ServingError:
            return None
        if spec.version_label and len(states) != 1:
            return None
        available = (state.version for state in states if state.state == _AVAILABLE)
        return max(available, default=None)

    async def _ask(self, spec: model_pb2.ModelSpec, timeout: float) -> Resolved:
        """Asks a version for its signatures, and keeps them."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=[METADATA_FIELD]
        )
        payload = await self._core.forward(
            "GetModelMetadata", spec, request.SerializeToString(), timeout
        )
        answer = get_model_metadata_pb2.GetModelMetadataResponse.FromString(payload)
        defs = signature_defs(answer)
        signatures = {
            name: {key: info.dtype for key, info in signature.inputs.items()}
            for name, signature in defs.signature_def.items()
        }
        version = answer.model_spec.version.value
        self._kept.pop((spec.name, version), None)
        if len(self._kept) >= MAX_VERSIONS:
            del self._kept[next(iter(self._kept))]
        self._kept[spec.name, version] = signatures
        return Resolved(_pinned(spec.name, version), signatures, is_kept=False)


def _pinned(name: str, version: int) -> model_pb2.ModelSpec:
    return model_pb2.ModelSpec(name=name, version={"value": version})


def signature_defs(
    answer: get_model_metadata_pb2.GetModelMetadataResponse,
) -> get_model_metadata_pb2.SignatureDefMap:
    """The signatures in an answer of GetModelMetadata."""
    defs = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata[METADATA_FIELD].Unpack(defs)
    return defs
