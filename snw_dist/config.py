"""The whole of `SNW_config.json` as strict dataclasses; an unknown key is an error naming the legal ones.

The section `data` is in `config_data`; `config_file` reads the file.

Components take plain arguments, not these objects; only the entry points (`snw_dist.*.run`) read them.
Nothing heavy is imported here, so that a mistake is reported at once, before any job is submitted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from hpc.disk.home import expanded
from hpc.disk.strict import SETTINGS, shown_key, validated
from hpc.errors import InputError
from snw_dist.config_data import DataSection

Precision = Literal["fp32", "bf16", "fp16"]
ControlName = Literal[
    "boosting",
    "ligand",
    "receptor",
    "composition",
    "degree",
    "neighbour",
    "shuffled_receptor",
    "shuffled_ligand",
    "noise",
]
ModelName = Literal["siamese", "pseudo_siamese", "pair_of_pairs", "cross_attention", "triplet", "changeformer"]
_Layer = Annotated[int, Field(ge=-10_000, le=10_000)]
_NO_TEXT = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_PATHS = frozenset(
    [
        *("run.folder", "data.ligands", "data.receptors", "data.pairs", "data.folder"),
        *("store.path", "encoder.weights", "cluster.profile"),
    ]
)
TrackerName = Literal["mlflow", "wandb"]
LossName = Literal["auto", "contrastive", "bce", "triplet", "info_nce", "rank", "complexes"]


@dataclass(config=SETTINGS, frozen=True)
class RunSection:
    """Where results go."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The run folder is `folder/name`: letters, digits, `.`, `_` and `-`."""
    folder: str = "runs"
    """With all runs; a relative path counts from the folder of the configuration."""
    seed: int = Field(default=1, ge=0, lt=2**32)
    """Of the split, the initial weights, the order of pairs, dropout and the bootstrap."""


@dataclass(config=SETTINGS, frozen=True)
class EncoderSection:
    """Which ESM C makes the embeddings."""

    name: Literal["esmc", "esmc-tiny-random"] = "esmc-tiny-random"
    """`esmc-tiny-random` is a small ESM C with fixed random weights, for demonstrations and tests only."""
    weights: str | None = None
    """For `esmc`: a `.pth` file of the `esm` package, a transformers folder, or a hub id such as `biohub/ESMC-300M`."""
    revision: str | None = None
    """Hub revision; record one to make a run repeatable."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """When given, the weights must have this hash."""
    layer: _Layer | Annotated[list[_Layer], Field(min_length=1, max_length=1_000)] = -1
    """Which layer's states are stored, or several; -1 is the last, after the final norm."""
    combine: Literal["concat", "mean"] = "concat"
    """Several layers side by side in a row, or their mean."""
    tokens_per_batch: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Tokens in one forward pass; when absent as many as the measured memory holds, 4096 at most on a CPU."""
    verify: bool = False
    """Compare every rank's encoder with transformers' ESM C on a sample of the input before the work starts."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is CUDA where there is a device."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the encoder; `auto` is bf16 on CUDA and fp32 on a CPU."""
    license: str | None = Field(default=None, max_length=1_000)
    """Under what the weights may be used; nothing is made of it but a line in what is handed on."""


@dataclass(config=SETTINGS, frozen=True)
class StoreSection:
    """The Zarr v3 embedding store."""

    path: str | None = None
    """Default: `store.zarr` in the run folder."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    """Number format of the stored rows."""
    shard_rows: int = Field(default=16384, ge=1, le=16_777_216)
    """Rows (residues) in one Zarr shard, the unit of writing and of work."""
    chunk_rows: int = Field(default=128, ge=1, le=65_536)
    """Rows in one inner chunk, the unit of checking."""
    max_files: int = Field(default=100_000, ge=1, le=1_000_000_000)
    """A store of more files is refused before the job starts; a larger `shard_rows` makes fewer."""


@dataclass(config=SETTINGS, frozen=True)
class ModelSection:
    """The network that compares a ligand with a receptor."""

    name: ModelName = "pseudo_siamese"
    size: Literal["light", "base", "large"] = "base"
    """What stands for the settings that are null."""
    d_model: int | None = Field(default=None, ge=8, le=65_536)
    """Width inside a network; when absent by `size`, as the five below."""
    num_heads: int | None = Field(default=None, ge=1, le=65_536)
    num_conv_layers: int | None = Field(default=None, ge=0, le=1_000)
    num_transformer_layers: int | None = Field(default=None, ge=0, le=1_000)
    """In `cross_attention` and `pair_of_pairs` blocks of cross attention, at least one."""
    kernel_size: int = Field(default=5, ge=1, le=65_536)
    """Residues seen by one convolution."""
    num_pooling_queries: int | None = Field(default=None, ge=1, le=65_536)
    embedding_size: int | None = Field(default=None, ge=2, le=65_536)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of values dropped in training."""
    margin: float = Field(default=2.0, gt=0, le=2)
    """Distance at which a pair of label 0 costs nothing, and scores 0.025; 2 is the largest distance there is."""
    max_length: int = Field(default=2048, ge=1, le=10_000_000)
    """`normalized_sequence_length`: longer sequences are centre-cropped in the network, never in the store."""


def _whole(value: Any) -> Any:
    """Pydantic takes `true` and 1.0 for a literal 1."""
    if type(value) is not int:
        raise ValueError("Input should be 0, 1, 2 or 3")
    return value


@dataclass(config=SETTINGS, frozen=True)
class TrainSection:
    """Optimisation, validation and checkpoints."""

    zero_stage: Annotated[Literal[0, 1, 2, 3], BeforeValidator(_whole)] = 2
    """DeepSpeed ZeRO: 0 shares nothing, 1 the optimiser state, 2 also gradients, 3 also parameters."""
    precision: Precision = "fp32"
    """Arithmetic of training; `fp16` needs CUDA."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is CUDA where there is a device."""
    encoder_mode: Literal["frozen", "lora", "full"] = "frozen"
    """`frozen` reads the store; else ESM C is trained too, from the weights that made it: in whole, or by LoRA."""
    lora_rank: int = Field(default=8, ge=1, le=65_536)
    """Of the updates of q, k, v and the output of each attention, with `lora`."""
    encoder_learning_rate_ratio: float = Field(default=0.1, gt=0, le=1e6)
    """Learning rate of ESM C as a share of the network's, with `lora` and `full`."""
    loss: LossName = "auto"
    """`auto` follows the model."""
    temperature: float = Field(default=0.1, gt=0, le=1e6)
    """Of `info_nce`, and of `rank` over distances: smaller looks more at the nearest wrong answers."""
    triplet_margin: float = Field(default=0.5, gt=0, le=2)
    """How much farther than a binder a non-binder is to lie, by `triplet`."""
    mining: Literal["all", "semi_hard", "hard"] = "all"
    """Which non-binders of a receptor a binder is compared with by `triplet`."""
    epochs: int = Field(default=20, ge=1, le=1_000_000)
    """Passes over the training pairs."""
    max_steps: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Stop after this many steps, whatever `epochs` says; the schedule ends there too."""
    global_batch_size: int = Field(default=128, ge=1, le=16_777_216)
    """Pairs in one optimiser step, over all ranks and accumulation steps."""
    micro_batch_size: int = Field(default=128, ge=1, le=1_000_000)
    """Most pairs in one forward pass of one rank; gradient accumulation follows from it."""
    pairs_per_receptor: int = Field(default=8, ge=1, le=1_000_000)
    """Pairs of one receptor that come together, so that it is read once for all of them; 1 deals them out singly."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1e3)
    """The highest; reached after `warmup_steps`, then a cosine."""
    min_learning_rate_ratio: float = Field(default=0.05, ge=0, le=1)
    """Share of it at the last step."""
    warmup_steps: int = Field(default=100, ge=0, le=1_000_000_000)
    """Steps until the highest learning rate."""
    weight_decay: float = Field(default=0.01, ge=0, le=1e3)
    """Of AdamW."""
    gradient_clipping: float = Field(default=1.0, ge=0, le=1e9)
    """Largest global gradient norm; 0 switches clipping off."""
    validate_every: int = Field(default=0, ge=0, le=1_000_000_000)
    """Steps between validations; 0 means once an epoch."""
    monitor: Literal["auroc", "loss"] = "auroc"
    """What decides which weights are exported."""
    patience: int = Field(default=0, ge=0, le=1_000_000)
    """Validations without improvement before stopping; 0 never stops early."""
    save_every: int = Field(default=0, ge=0, le=1_000_000_000)
    """Steps between checkpoints; 0 means once an epoch."""
    keep_last: int = Field(default=3, ge=1, le=1_000_000)
    """Newest checkpoints that are kept, beside that of the best validation."""
    keep_every: int = Field(default=0, ge=0, le=1_000_000_000)
    """Checkpoints of multiples of this step are made and kept for good; 0 keeps none."""
    tracker: TrackerName | None = None
    """Where the run is shown beside TensorBoard: MLflow, or Weights & Biases offline; both in the run folder."""
    allow_precision_change: bool = False
    """Continue a run with another `precision`; its float32 masters are kept."""
    allow_changes: bool = False
    """Continue a run although its checkpoint has other settings or data; the differences go into `metrics.jsonl`."""


@dataclass(config=SETTINGS, frozen=True)
class EvaluateSection:
    """Metrics on the held-out splits."""

    bootstrap: int = Field(default=1000, ge=0, le=1_000_000)
    """Repeats for the 95 % intervals; 0 leaves them out."""
    controls: list[ControlName] | None = None
    """What the model is measured against; when absent all of them. An empty list leaves them out."""
    batch_size: int = Field(default=512, ge=1, le=1_000_000)
    """Pairs in one forward pass on a GPU and in validation; on a CPU those whose sequences are in memory at once."""
    allow_changes: bool = False
    """Measure on other data than trained on, without the pairs that were; recorded."""


@dataclass(config=SETTINGS, frozen=True)
class ClusterSection:
    """How jobs are started; the site's own facts are in the profile."""

    cluster: Literal["auto", "slurm", "local", "allocation"] = "auto"
    """`auto` takes Slurm where `srun` is found, else this machine with one process per node asked for.

    `allocation`, on the command line alone, is for batch scripts: the job runs in the nodes that the script has."""
    profile: str | None = None
    """A JSON file, or the name of one in `slurm/profiles`; on the command line a path from the current folder."""
    nodes: int = Field(default=1, ge=1, le=100_000)
    """Nodes of a job; on this machine, processes."""
    tasks_per_node: int | None = Field(default=None, ge=1, le=1_024)
    """Ranks on a node; when absent the profile's, or one. Normally one a GPU."""
    time_min: int | None = Field(default=None, ge=1, le=1_000_000)
    """Limit of a job; when absent the profile's, or one hour."""
    array: int = Field(default=1, ge=1, le=100_000)
    """Embedding: tasks of a Slurm job array, each with `nodes` nodes and shards of its own."""


@dataclass(config=SETTINGS, frozen=True)
class SnwConfig:
    """Everything a run depends on; saved with the run."""

    run: RunSection = Field(default_factory=RunSection)
    data: DataSection = Field(default_factory=DataSection)
    encoder: EncoderSection = Field(default_factory=EncoderSection)
    store: StoreSection = Field(default_factory=StoreSection)
    model: ModelSection = Field(default_factory=ModelSection)
    train: TrainSection = Field(default_factory=TrainSection)
    evaluate: EvaluateSection = Field(default_factory=EvaluateSection)
    cluster: ClusterSection = Field(default_factory=ClusterSection)

    @property
    def run_folder(self) -> Path:
        """`run.folder / run.name`; `load_config` has made `run.folder` absolute."""
        return Path(self.run.folder) / self.run.name

    @property
    def split_seed(self) -> int:
        """Seed of the split and of made negatives."""
        return self.run.seed if self.data.split.seed is None else self.data.split.seed

    @property
    def data_folder(self) -> Path:
        """Where `prepare` leaves the cleaned tables."""
        return Path(self.data.folder) if self.data.folder else self.run_folder / "data"

    @property
    def store_path(self) -> Path:
        """The embedding store."""
        return Path(self.store.path) if self.store.path else self.run_folder / "store.zarr"


def config_from_dict(values: Mapping[str, Any], source: str = "config") -> SnwConfig:
    """Build the configuration from plain data; raises `InputError` listing every wrong key and value."""
    _check_texts(values, source)
    return validated(SnwConfig, values, source)


def _check_texts(values: Any, source: str, key: str = "") -> None:
    """Refuse what can stand in JSON and in no path, column or name.

    That is nothing at all, control characters, halves of characters, and in a path the home folder of nobody.
    """
    if isinstance(values, str):
        if _NO_TEXT.search(values):
            raise InputError(f"{source}: {shown_key(key)}: control characters are not allowed (got {values!r:.200}).")
        if not values.strip():
            raise InputError(
                f"{source}: {shown_key(key)}: the text is empty (got {values!r:.200}). Leave it out for its default."
            )
        if key in _PATHS:
            expanded(values, f"{source}: {key}")
    for name, value in values.items() if isinstance(values, Mapping) else ():
        _check_texts(value, source, f"{key}.{name}".lstrip("."))


def config_to_dict(config: SnwConfig) -> dict[str, Any]:
    """Plain data, fit for JSON and for pickling into a job."""
    return dataclasses.asdict(config)
