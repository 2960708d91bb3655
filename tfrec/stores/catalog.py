"""The versions of a store as one small value, which a store replaces atomically.

A change is a pure function of the catalog before it. Made again after it took effect it
changes nothing, so a caller whose answer was lost may call again.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from tfrec.stores.errors import StoreError

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_COUNTED = ("num_keys", "num_bytes", "checksum")
_MAX_META_BYTES = 16 * 1024


@dataclasses.dataclass(frozen=True)
class Version:
    """What a store knows of a version.

    Attributes:
        state: `"open"`, `"sealed"` or `"deleting"`.
        number: above that of every version that was there when it was begun.
        num_buckets: over how many buckets its keys are spread, where a store has any.
        meta: the caller's, with the totals; empty while open.
    """

    state: str = "open"
    number: int = 1
    num_buckets: int = 0
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Catalog:
    """All versions, and which one is current."""

    current: str | None = None
    versions: Mapping[str, Version] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> "Catalog":
        """Reads what `to_bytes` made; nothing is an empty catalog."""
        if raw is None:
            return cls()
        try:
            content = json.loads(raw)
            found = content["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"The store's catalog must be JSON with `format`. Received: {raw!r:.80}"
            ) from error
        if found != FORMAT:
            raise StoreError(f"The store's format must be {FORMAT}. Received: {found}")
        versions = {name: Version(**v) for name, v in content["versions"].items()}
        return cls(content["current"], versions)

    def to_bytes(self) -> bytes:
        """JSON, equal for equal catalogs."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(content, sort_keys=True).encode()

    def begin(self, version: str, num_buckets: int = 0) -> "Catalog":
        """With `version` open; refuses one that is sealed or being deleted."""
        check_name("version", version)
        found = self.versions.get(version)
        if found is None:
            number = 1 + max((v.number for v in self.versions.values()), default=0)
            return self._with(version, Version("open", number, num_buckets))
        self._check_state(version, "open", "a sealed version is not written to")
        return self

    def seal(
        self, version: str, meta: Mapping[str, Any], totals: Mapping[str, Any]
    ) -> "Catalog":
        """With `version` sealed; again only with equal `meta` and totals."""
        meta = {**meta, **totals}
        found = self.find(version)
        if found.state == "sealed":
            if dict(found.meta) != meta:
                raise StoreError(
                    f"`meta` of the sealed version {version!r} must stay "
                    f"{dict(found.meta)}. Received: {meta}"
                )
            return self
        self._check_state(version, "open", "what is being deleted stays so")
        sealed = dataclasses.replace(found, state="sealed", meta=meta)
        return self._with(version, sealed)

    def switch(self, version: str) -> "Catalog":
        """With `version`, which must be sealed, current."""
        self._check_state(version, "sealed", "commit it first")
        return dataclasses.replace(self, current=version)

    def begin_delete(self, version: str) -> "Catalog":
        """With `version` unreadable, if there is one; it must not be current."""
        if version == self.current:
            raise StoreError(
                "`version` must not be the current one: switch to another first. "
                f"Received: {version!r}"
            )
        if version not in self.versions:
            return self
        deleting = dataclasses.replace(self.versions[version], state="deleting")
        return self._with(version, deleting)

    def end_delete(self, version: str) -> "Catalog":
        """Without `version`."""
        rest = {name: v for name, v in self.versions.items() if name != version}
        return dataclasses.replace(self, versions=rest)

    def find(self, version: str) -> Version:
        """Returns what is known of `version`, in any state."""
        if version not in self.versions:
            raise StoreError(
                f"`version` must be one of {sorted(self.versions)}. "
                f"Received: {version!r}"
            )
        return self.versions[version]

    def readable(
        self, version: str | None, expect: Mapping[str, Any] | None = None
    ) -> tuple[str, Version]:
        """Returns name and description of a sealed version, by default the current.

        Raises: StoreError: none is current, it is not sealed, or its `meta` has
            another value than `expect`: the message names both.
        """
        name = self.current if version is None else version
        if name is None:
            raise StoreError(
                "A version must be current: commit one and switch to it. "
                f"Received: {sorted(self.versions)}, none current"
            )
        self._check_state(name, "sealed", "only sealed versions are read")
        found = self.versions[name]
        for field, value in (expect or {}).items():
            if found.meta.get(field) != value:
                raise StoreError(
                    f"`{field}` of version {name!r} must be {value!r}. "
                    f"Received: {found.meta.get(field)!r}"
                )
        return name, found

    def _check_state(self, version: str, state: str, why: str) -> None:
        found = self.find(version).state
        if found != state:
            raise StoreError(
                f"Version {version!r} must be {state}: {why}. Received: {found}"
            )

    def _with(self, name: str, version: Version) -> "Catalog":
        return dataclasses.replace(self, versions={**self.versions, name: version})


def check_name(argument: str, name: str) -> None:
    """Raises `StoreError` unless `name` can be part of a key."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StoreError(
            f"`{argument}` must be 1 to 64 letters, digits, `.`, `_` or `-`. "
            f"Received: {name!r}"
        )


def checked_meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns `meta` as it comes back from JSON.

    Raises: StoreError: no JSON, too large, or a name that the totals have.
    """
    try:
        text = json.dumps(dict(meta or {}))
    except (TypeError, ValueError) as error:
        raise StoreError(f"`meta` must be JSON. Received: {error}") from error
    if len(text) > _MAX_META_BYTES:
        raise StoreError(
            f"`meta` must have at most {_MAX_META_BYTES} bytes. Received: {len(text)}"
        )
    checked = json.loads(text)
    if taken := sorted(set(checked) & set(_COUNTED)):
        raise StoreError(f"`meta` must not name {_COUNTED}. Received: {taken}")
    return checked
