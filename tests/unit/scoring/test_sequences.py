"""Rows of sequences on the way: each made once, kept as long as there is room, and the same as those of a store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from snw_dist.data.files.fasta import FastaRecord
from snw_dist.data.records.cleaning import Cleaned, Problem
from snw_dist.embedding.encoder import Encoder, build_encoder
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.scoring import sequences as module
from snw_dist.scoring.sequences import Kept, Rules, embedded, tokens

SEQUENCES = ["ACDEFGHIKL", "MKV", "SIINFEKL", "GILGFVFTL"]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    device = torch.device("cpu")
    return build_encoder("esmc-tiny-random", tiny_random_weights(), device, "fp32", [-1], "concat", 4096)


def test_rows_are_those_of_each_sequence_alone(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 12)
    reader = Kept(embedded(encoder, torch.float16, None), 10**9).rows(SEQUENCES)
    assert reader.lengths.tolist() == [10, 3, 8, 9]
    assert (reader.dtype, reader.row_width) == (torch.float16, 128)
    for number, sequence in enumerate(SEQUENCES):
        assert torch.equal(read_rows(reader, number), encoder.embed([sequence]).half())
    assert torch.equal(read_rows(reader, 0, 2, 5), encoder.embed([SEQUENCES[0]])[2:5].half())


def test_long_sequences_go_through_windows(encoder: Encoder) -> None:
    long = "".join(np.random.default_rng(0).choice(list("ACDEFGHIKLMNPQRSTVWY"), 2500))
    reader = Kept(embedded(encoder, torch.float32, None), 10**9).rows([long])
    assert torch.equal(read_rows(reader, 0), encoder.embed([long]))
    assert len(read_rows(reader, 0)) == 2500


def counting(made: list[str]) -> module.Make:
    def make(sequences: list[str]) -> list[torch.Tensor]:
        made.extend(sequences)
        return [torch.full((len(one), 2), float(len(one))) for one in sequences]

    return make


def test_each_is_made_once_short_ones_first() -> None:
    made: list[str] = []
    kept = Kept(counting(made), 10**6)
    reader = kept.rows(["AAA", "C", "AAA", "DD"])
    assert made == ["C", "DD", "AAA"]
    assert reader.lengths.tolist() == [3, 1, 3, 2]
    kept.rows(["DD", "EEEE"])
    assert made == ["C", "DD", "AAA", "EEEE"]
    assert kept.num_made == 4


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    made: list[str] = []
    kept = Kept(counting(made), 8 * 10)  # ten rows of two float32
    kept.rows(["AAAA", "CCCCC"])
    kept.rows(["AAAA"])
    kept.rows(["DDDD"])
    made.clear()
    kept.rows(["AAAA", "DDDD"])
    assert made == []
    kept.rows(["CCCCC"])
    assert made == ["CCCCC"]


def test_more_than_there_is_room_for_is_given_all_the_same() -> None:
    kept = Kept(counting([]), 1)
    reader = kept.rows(["AAAA", "CC"])
    assert read_rows(reader, 1).tolist() == [[2.0, 2.0]] * 2
    assert not kept._kept


def test_tokens_are_one_number_a_residue() -> None:
    reader = Kept(tokens, 10**6).rows(["LAG", "L"])
    assert read_rows(reader, 0).tolist() == [[4], [5], [6]]
    assert (reader.dtype, reader.row_width) == (torch.int64, 1)


def test_rules_are_those_of_the_training_data() -> None:
    cleaned = Rules("unknown", 1, 10).clean("siinuekl*")
    assert isinstance(cleaned, Cleaned)
    assert (cleaned.sequence, cleaned.replaced) == ("SIINXEKL", 1)
    for rules, text in ((Rules("reject", 1, 10), "U"), (Rules("reject", 3, 10), "AC"), (Rules("reject", 1, 2), "ACD")):
        assert isinstance(rules.clean(text), Problem)
    assert isinstance(Rules("reject", 1, 10**9).clean("A" * (2**24 + 1)), Problem)
    refused = Rules("reject", 1, 10).clean("ACX")
    assert isinstance(refused, Problem)
    assert refused.reason.endswith("20 standard amino acids, and the networks were trained without any other letter")


def test_equal_texts_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = module.clean_sequence

    def counted(record: FastaRecord, *rules: Any) -> Cleaned | Problem:
        looked.append(record.text)
        return real(record, *rules)

    monkeypatch.setattr(module, "clean_sequence", counted)
    found = Rules("reject", 1, 10).all_clean(["acd", "MKV", "acd", "acd"], "ligand")
    assert found == ["ACD", "MKV", "ACD", "ACD"]
    assert looked == ["acd", "MKV"]


@pytest.mark.parametrize("text", [">pep\nSIINFEKL\n", "  >pep"])
def test_fasta_text_is_told_as_such(text: str) -> None:
    found = Rules("reject", 1, 10).clean(text)
    assert isinstance(found, Problem)
    assert found.reason.startswith("this is FASTA text")
