"""The files of a bundle, and what `bundle.json` says of them and of what is inside.

| file | what is in it |
|---|---|
| `bundle.json` | every file with its size and SHA-256; members, encoder, labels, licences; it holds its own SHA-256 |
| `README.md` | the model card |
| `config.json` | the settings that the networks were trained with |
| `metrics.json` | what was measured of each member, of their mean and of the controls |
| `parity.json` | ten pairs with their scores, see `snw_dist.bundle.parity` |
| `trained_on.json` | the distinct sequences of the training pairs, by side |
| `calibration_pairs.json` | pairs by which a screen knows how many of its hits are false; where a split was named |
| `trust.json` | how far scores can be trusted, see `snw_dist.bundle.trust` |
| `label_transform.json` | where labels were made from scores: the way back |
| `audit.json` | what was found in the data |
| `members/NAME/` | the export of a run as it is, with its calibration, see `snw_dist.predict.export` |
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from snw_dist.bundle.background import BackgroundEntry
from snw_dist.predict.calibration import CalibrationFields
from snw_dist.predict.manifest import ExportedFile

FORMAT_VERSION = 2
BUNDLE, CARD, SETTINGS, METRICS = "bundle.json", "README.md", "config.json", "metrics.json"
PARITY, TRAINED_ON, LABELS, AUDIT = "parity.json", "trained_on.json", "label_transform.json", "audit.json"
CALIBRATION_PAIRS = "calibration_pairs.json"
TRUST = "trust.json"
MEMBERS = "members"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_MemberName = Annotated[str, Field(pattern=rf"^{_NAME}$")]
_FileName = Annotated[
    str, Field(pattern=rf"^(?:README\.md|[a-z_]+\.json|{MEMBERS}/{_NAME}/(?:[a-z_]+\.json|model\.safetensors))$")
]
"""No way out of the folder, and no kind of file that could run anything."""
_Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
_Flag = Annotated[bool, Field(strict=True)]
Threshold = Annotated[float, Field(strict=True)] | None
"""Of the largest F1 on validation; None where validation has one class."""


@dataclass(config=_STRICT, frozen=True)
class _EncoderFacts:
    """What `snw_dist.embedding.encoder` says of an encoder."""

    name: str
    description: str
    weights: str
    weights_sha256: _Sha256
    layers: list[_Count]
    combine: str
    arithmetic: Literal["fp32", "bf16"]
    window_residues: _Count
    window_overlap: _Count


def _known_encoder(facts: dict[str, Any]) -> dict[str, Any]:
    TypeAdapter(_EncoderFacts).validate_python(facts)
    return facts


@dataclass(config=_STRICT, frozen=True)
class MemberEntry:
    """One network of the bundle."""

    run: str
    network: str
    step: _Count
    threshold: Threshold
    weights_sha256: _Sha256
    trained_on: list[str]
    """Digests of the training pairs, see `snw_dist.data.trained`."""
    tuned: _Flag
    """ESM C was trained along, and is inside: no encoder is needed."""
    fold: str | None = None
    """The run whose data it was trained and measured on, where there are several."""


@dataclass(config=_STRICT, frozen=True)
class MeanEntry:
    """The members together: the mean of their probabilities as a score, and what that means."""

    threshold: Threshold
    calibration: CalibrationFields


@dataclass(config=_STRICT, frozen=True)
class RowsEntry:
    """What decides the rows that the networks were trained on."""

    encoder: Annotated[dict[str, Any], AfterValidator(_known_encoder)]
    """As `StoreHeader.encoder`."""
    dtype: Literal["float32", "float16", "bfloat16"]
    width: Annotated[int, Field(strict=True, ge=1, lt=2**31)]
    """Values in a row."""
    revision: str | None
    """Of the encoder on the hub, where one was named."""
    sha256: _Sha256
    """`StoreHeader.rows_digest` of a store with such rows."""


@dataclass(config=_STRICT, frozen=True)
class SequencesEntry:
    """By which rules sequences were cleaned, and whether the sides mean anything."""

    symmetric: _Flag
    non_standard: Literal["reject", "unknown"]
    min_length: _Count
    max_length: _Count


@dataclass(config=_STRICT, frozen=True)
class LabelsEntry:
    """What a score stands for."""

    transform: str | None
    """Kind of the curve in `label_transform.json`; None where labels were given."""
    term: str | None
    """The score or column that labels were made from."""
    unit: str | None
    """Of that score, where it is known."""
    positive_from: Annotated[float, Field(strict=True)]


@dataclass(config=_STRICT, frozen=True)
class BundleFile:
    """The content of `bundle.json`."""

    format_version: Annotated[int, Field(strict=True)]
    name: str
    members: Annotated[dict[_MemberName, MemberEntry], Field(min_length=1, max_length=1000)]
    mean: MeanEntry | None
    """None of a single member, whose own score, calibration and threshold count."""
    rows: RowsEntry
    sequences: SequencesEntry
    labels: LabelsEntry
    background: BackgroundEntry
    licences: dict[Literal["data", "encoder"], str | None]
    versions: dict[str, str]
    """Of what has made the members."""
    files: Annotated[dict[_FileName, ExportedFile], Field(min_length=1, max_length=10_000)]


def member_file(member: str, name: str) -> str:
    """The name of a file of a member within the bundle."""
    return f"{MEMBERS}/{member}/{name}"
