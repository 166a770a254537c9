"""The encoder of a bundle: the one that made the rows which the networks were trained on, or none."""

from __future__ import annotations

import torch

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.bundle.format import RowsEntry
from snw_dist.embedding.encoder import RANDOM_NAME, Encoder, build_encoder, load_encoder_weights
from snw_dist.embedding.esmc.batch_size import MOST_TOKENS
from snw_dist.embedding.store.header import rows_digest


def bundle_encoder(rows: RowsEntry, source: str | None, device: torch.device, bundle: str) -> Encoder:
    """The encoder from `source`, or else from where the bundle says that it was; on `device`, as it made the rows.

    Raises `InputError` where it is not there or has another SHA-256 than the one that the networks were trained with.
    """
    facts = rows.encoder
    random = facts["name"] == RANDOM_NAME
    if random and source is not None:
        raise InputError(
            f"{bundle}: its encoder has random weights, which are drawn and not read, so {source} would not be used. "
            "Leave the encoder out."
        )
    name, revision = str(source or facts["weights"]), None if source else rows.revision
    needed = f"the encoder {facts['description']} (SHA-256 {facts['weights_sha256'][:12]})"
    give = "Give it: PairScorer.load(..., encoder=FILE_OR_FOLDER_OR_HUB_ID)"
    try:
        weights = None if random else name.removesuffix(f"@{revision}")
        loaded = load_encoder_weights(facts["name"], weights, revision, None)
    except (InputError, EnvironmentProblem) as error:
        reason = str(error).splitlines()[0].removeprefix("encoder.weights: ")
        raise type(error)(f"{bundle}: needs {needed}, and it is not at {name}: {reason} {give}") from None
    if loaded.sha256 != facts["weights_sha256"]:
        raise InputError(f"{bundle}: needs {needed}, and {loaded.source} is another one ({loaded.sha256[:12]}). {give}")
    tokens = MOST_TOKENS[device.type]
    encoder = build_encoder(
        facts["name"], loaded, device, facts["arithmetic"], facts["layers"], facts["combine"], tokens
    )
    if rows_digest(encoder.facts, rows.dtype, encoder.model.row_width) != rows.sha256:
        raise InputError(f"{bundle}: this version of the program makes other rows than that of the training.")
    return encoder
