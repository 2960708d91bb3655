"""The error of the data layer."""

from tfrec.artifacts import ArtifactError


class DataError(ArtifactError):
    """Data that breaks a rule: the message names file, column, rule and value."""
