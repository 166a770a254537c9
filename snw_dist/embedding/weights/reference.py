"""Our forward pass against that of a public package, on the user's own sequences and weights.

The reference is transformers' `EsmcModel`, made by its `from_pretrained` of the very folder, so that it shares neither
our choice of files nor our reading of the settings. Weights that transformers cannot read are put into it as we have
read them; it is bit-identical to the forward of the `esm` package (tested). Run before a big job with
`embed --verify-encoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hpc.errors import EnvironmentProblem
from snw_dist.embedding.esmc.architecture import EsmcWeights
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT, PackedEsmc, combined, tokenize
from snw_dist.embedding.weights.keys import few
from snw_dist.embedding.weights.read import LoadedWeights

SAMPLE = 16
TOLERANCE = 1e-5
"""Largest difference allowed in float32, relative to the largest value."""
ROUNDING = 2.0
"""In bfloat16 every layer rounds, ours and the reference's in another order: so many times what the reference itself
loses against float32 are allowed; that is 1 % of the largest value on 2 layers and 3 % on 30."""


@dataclass(frozen=True)
class Parity:
    """What the comparison found; differences are relative to the largest value of the reference."""

    num_sequences: int
    against_reference: float
    alone_against_batch: float
    """0.0 means bit-identical."""
    rounding: float
    """How far the reference in the same arithmetic is from float32; 0.0 in float32."""

    @property
    def allowed(self) -> float:
        """What neither difference may exceed."""
        return TOLERANCE + ROUNDING * self.rounding


def sample(sequences: Sequence[str]) -> list[str]:
    """Up to 16 sequences spread over all lengths up to the trained context, the shortest and the longest among them."""
    usable = sorted({s for s in sequences if len(s) <= TRAINED_CONTEXT - 2}, key=lambda s: (len(s), s))
    if len(usable) <= SAMPLE:
        return usable
    return [usable[i * (len(usable) - 1) // (SAMPLE - 1)] for i in range(SAMPLE)]


@torch.inference_mode()
def compare(model: PackedEsmc, loaded: LoadedWeights, sequences: Sequence[str]) -> Parity:
    """Compare the layers of `model` on `sequences`: all at once here, one sequence at a time in the reference."""
    reference = reference_model(loaded, model.device, model.dtype)
    exact = None if model.dtype == torch.float32 else reference_model(loaded, model.device, torch.float32)
    tokens, lengths = tokenize(sequences)
    together = torch.split(model.forward(tokens, lengths), lengths)
    largest, worst, batched, rounding = 0.0, 0.0, 0.0, 0.0
    for sequence, states in zip(sequences, together, strict=True):
        one, length = tokenize([sequence])
        expected = _states(reference, one, model)
        largest = max(largest, float(expected.abs().max()))
        worst = max(worst, float((states.float() - expected).abs().max()))
        batched = max(batched, float((states.float() - model.forward(one, length).float()).abs().max()))
        if exact is not None:
            rounding = max(rounding, float((_states(exact, one, model) - expected).abs().max()))
    return Parity(len(sequences), worst / largest, batched / largest, rounding / largest)


def _states(reference: torch.nn.Module, tokens: torch.Tensor, model: PackedEsmc) -> torch.Tensor:
    """The layers of `model` by the reference, of one sequence: [tokens, row_width] float32."""
    hidden = reference(input_ids=tokens[None].to(model.device), output_hidden_states=True).hidden_states
    return combined([hidden[layer][0].float() for layer in model.layers], model.combine)


def check_parity(model: PackedEsmc, loaded: LoadedWeights, sequences: Sequence[str]) -> Parity:
    """`compare` a sample of `sequences`; raises `EnvironmentProblem` where the difference is beyond what is allowed."""
    chosen = sample(sequences)
    parity = compare(model, loaded, chosen)
    if not max(parity.against_reference, parity.alone_against_batch) <= parity.allowed:  # nor is NaN
        raise EnvironmentProblem(
            f"the encoder on {model.device} differs from transformers' ESM C by {parity.against_reference:.1e} of the "
            f"largest value (allowed {parity.allowed:.0e}), in a batch from alone by "
            f"{parity.alone_against_batch:.1e}: do not trust this node. Try encoder.precision 'fp32', "
            "or another build of torch."
        )
    return parity


def reference_model(loaded: LoadedWeights, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """transformers' model of loaded weights: of their folder, where it reads that."""
    if loaded.folder is None:
        return transformers_model(loaded.weights, device, dtype)
    return _of_folder(loaded.folder, dtype).to(device)


def transformers_model(weights: EsmcWeights, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """transformers' model with our weights; every tensor of it must be given."""
    from transformers import EsmcConfig, EsmcModel
    from transformers.initialization import no_init_weights

    config = EsmcConfig(
        hidden_size=weights.d_model,
        num_hidden_layers=len(weights.layers),
        num_attention_heads=weights.num_heads,
        intermediate_size=int(weights.layers[0].down.shape[-1]),
    )
    with no_init_weights():
        model = EsmcModel(config)
    state = {"embed_tokens.weight": weights.embed, "norm.weight": weights.final_norm}
    for number, layer in enumerate(weights.layers):
        q, k, v = layer.qkv.chunk(3)
        gate, up = layer.gate_up.chunk(2)
        names = {
            "input_layernorm.weight": layer.norm_weight,
            "input_layernorm.bias": layer.norm_bias,
            "self_attn.q_proj.weight": q,
            "self_attn.k_proj.weight": k,
            "self_attn.v_proj.weight": v,
            "self_attn.q_norm.weight": layer.q_norm,
            "self_attn.k_norm.weight": layer.k_norm,
            "self_attn.o_proj.weight": layer.out,
            "post_attention_layernorm.weight": layer.mlp_norm_weight,
            "post_attention_layernorm.bias": layer.mlp_norm_bias,
            "mlp.gate_proj.weight": gate,
            "mlp.up_proj.weight": up,
            "mlp.down_proj.weight": layer.down,
        }
        state |= {f"layers.{number}.{name}": tensor for name, tensor in names.items()}
    # Not `model.to(dtype)`: that would also round the frequencies of the rotary embedding.
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()}, assign=True)
    placed: torch.nn.Module = model.to(device).eval()
    return placed


def _of_folder(folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """By transformers' own reading of a folder; it makes up what it does not find, which is an error here."""
    from transformers import EsmcModel
    from transformers.utils import logging

    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # it reports the tensors of a head, which nobody needs here
    logging.disable_progress_bar()
    try:
        model, report = EsmcModel.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise EnvironmentProblem(f"{folder}: transformers cannot read it, so there is no reference ({error})") from None
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()
    if made_up := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise EnvironmentProblem(f"{folder}: transformers does not find {few(made_up)}, so there is no reference")
    placed: torch.nn.Module = model.eval()
    return placed
