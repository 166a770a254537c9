"""The whole of `SNW_config.json` as strict dataclasses; an unknown key is an error naming the legal ones.

Components take plain arguments, not these objects; only the entry points (`snw_dist.*.run`) read them.
Nothing heavy is imported here, so that a mistake is reported at once, before any job is submitted.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from hpc.disk.home import expanded
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import legal_keys, shown_key, validated
from hpc.errors import InputError
from hpc.job.profile import profile_from

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
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
_MOST_BYTES = 2**20
_NO_TEXT = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_PATHS = frozenset(
    [
        *("run.folder", "data.ligands", "data.receptors", "data.pairs", "data.folder"),
        *("store.path", "encoder.weights", "cluster.profile"),
    ]
)
LossName = Literal["auto", "contrastive", "bce", "triplet", "info_nce", "rank", "complexes"]


@dataclass(config=_STRICT, frozen=True)
class RunSection:
    """Where results go."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The run folder is `folder/name`."""
    folder: str = "runs"
    seed: int = Field(default=1, ge=0, lt=2**32)


@dataclass(config=_STRICT, frozen=True)
class ColumnNames:
    """Names of the columns in the pair table."""

    ligand: str = "ligand_id"
    receptor: str = "receptor_id"
    label: str = "label"
    """Numbers in [0, 1], or a binary column of 0 / 1 / true / false / bound / unbound; not read with `scores.term`."""
    binary: str | None = None
    """Bound or not bound, for metrics; when absent it is `label >= data.positive_from`."""
    split: str = "split"
    """train / val / any other names (each is a held-out set); read when `split.method` is `column`."""
    inequality: str | None = None
    """`<`, `=` or `>` before an affinity (`scores.transform` = `log_affinity`)."""
    decoy: str | None = None
    """Name of each decoy where a row is one, so that one given twice is found."""
    score_file: str | None = None
    """A Rosetta score or silent file for each pair, with its decoys; relative to the folder of the table."""


@dataclass(config=_STRICT, frozen=True)
class ScoreSection:
    """Labels from raw scores, of which lower is better: Rosetta decoys or affinities."""

    term: str | None = None
    """Rosetta term (`I_sc`, `reweighted_sc`, `dG_separated`, `total_score`, ...) or column; null: labels are given."""
    description: str | None = None
    """For a Rosetta file as `data.pairs`: regular expression for the whole tag, with groups `ligand` and `receptor`."""
    aggregate: Literal["min", "mean_top", "boltzmann"] = "min"
    """From the decoys of a pair to its score: the lowest, the mean of the `top_k` lowest, the Boltzmann mean."""
    top_k: int = Field(default=5, ge=1, le=1_000_000)
    """Lowest decoys that `mean_top` averages, and whose spread is the noise of `min` and `mean_top`."""
    kt: float = Field(default=1.0, gt=0, le=1e6)
    """Temperature of `boltzmann`, in units of the score."""
    transform: Literal["minmax", "logistic", "rank", "log_affinity"] = "minmax"
    """From score to label in [0, 1], invertible and saved; fitted on `train` alone."""
    per_receptor: bool = False
    """Fit one for each receptor; receptors with few train pairs use the one of all."""
    clip: float = Field(default=0.01, ge=0, lt=0.5)
    """`minmax`: share of the train scores beyond either end, which get label 1 or 0."""

    @model_validator(mode="after")
    def _agrees(self) -> ScoreSection:
        if self.description is not None:
            try:
                groups = re.compile(self.description).groupindex
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"description is not a regular expression: {error}") from None
            if set(groups) != {"ligand", "receptor"}:
                raise ValueError("description must have the named groups (?P<ligand>...) and (?P<receptor>...)")
        if self.transform == "log_affinity" and self.per_receptor:
            raise ValueError(
                "data.scores.per_receptor has no meaning for log_affinity, which has nothing to fit: set it to false"
            )
        return self


@dataclass(config=_STRICT, frozen=True)
class SplitSection:
    """Which pairs are trained on, and which are held out."""

    method: Literal["column", "random", "ligand_cold", "receptor_cold", "both_cold"] = "column"
    """`column` is given; `random`: pairs; `*_cold`: clusters of that side, or of both, are in one split only."""
    clusters: Literal["mmseqs2", "identical"] = "mmseqs2"
    """What is held together: similar sequences (MMseqs2 must be installed), or identical ones only."""
    ligand_identity: float = Field(default=0.8, gt=0, le=1)
    """Ligands with this share of identical residues in an alignment belong together; not used with `data.symmetric`."""
    ligand_coverage: float = Field(default=0.8, gt=0, le=1)
    """The alignment covers this share of both sequences."""
    receptor_identity: float = Field(default=0.3, gt=0, le=1)
    """The same for receptors, and with `data.symmetric` for all proteins; likewise `receptor_coverage`."""
    receptor_coverage: float = Field(default=0.5, gt=0, le=1)
    val_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    folds: int | None = Field(default=None, ge=3, le=1_000)
    """Cross-validation: `test` is fold number `fold`, `val` the next one; the fractions are not used."""
    fold: int = Field(default=0, ge=0, lt=1_000)
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed of the split and of made negatives alone; when absent `run.seed`."""

    @model_validator(mode="after")
    def _agrees(self) -> SplitSection:
        if self.folds is not None and self.method == "column":
            raise ValueError(
                "data.split.folds are made, so data.split.method cannot be column: take ligand_cold, for instance"
            )
        if self.fold >= (self.folds or 1):
            raise ValueError(
                f"data.split.fold {self.fold} is not one of 0 to {self.folds - 1}"
                if self.folds
                else f"data.split.fold {self.fold} needs data.split.folds, of how many it is one"
            )
        return self


@dataclass(config=_STRICT, frozen=True)
class DataSection:
    """The input tables and how they are cleaned."""

    ligands: str = "ligands.fasta"
    receptors: str = "receptors.fasta"
    pairs: str = "pairs.csv"
    """By its ending: CSV, TSV, Parquet, or a Rosetta score file (`.sc`, `.fasc`) or silent file (`.silent`, `.out`)."""
    symmetric: bool = False
    """The sides mean nothing (protein-protein): (A, B) is (B, A), and both FASTA files, often the same, are one set."""
    columns: ColumnNames = Field(default_factory=ColumnNames)
    scores: ScoreSection = Field(default_factory=ScoreSection)
    split: SplitSection = Field(default_factory=SplitSection)
    negatives: Literal["given", "derangement"] = "given"
    """`derangement`: the table has positives; in each split their ligands are dealt again to other families."""
    folder: str | None = None
    """The cleaned tables; when absent `data` in the run folder. Runs may share them."""
    positive_from: float = Field(default=0.5, ge=-1e9, le=1e9)
    on_invalid: Literal["error", "skip"] = "error"
    """`error` stops at the first bad records; `skip` writes them to the reject table and goes on."""
    non_standard: Literal["reject", "unknown"] = "reject"
    """B, J, O, U, X, Z: `reject` the sequence, or replace each of them by X."""
    min_length: int = Field(default=1, ge=1, le=1_000_000)
    max_length: int = Field(default=100_000, ge=1, le=10_000_000)

    @model_validator(mode="after")
    def _agrees(self) -> DataSection:
        if self.negatives == "derangement" and self.scores.term:
            raise ValueError(
                "negatives that are made have no score: set data.scores.term to null or data.negatives to given"
            )
        if self.columns.inequality and not (self.scores.term and self.scores.transform == "log_affinity"):
            raise ValueError("data.columns.inequality needs data.scores.term and data.scores.transform = log_affinity")
        if not self.scores.term and (self.scores.description or self.columns.score_file or self.columns.decoy):
            raise ValueError("decoys need data.scores.term, the name of the score")
        if self.symmetric and self.split.method in ("ligand_cold", "receptor_cold"):
            raise ValueError(
                f"data.split.method {self.split.method} has no meaning where data.symmetric is true, because a protein "
                "may stand on either side: take both_cold, which keeps each protein in one split"
            )
        if self.symmetric and self.scores.per_receptor:
            raise ValueError("data.scores.per_receptor has no meaning where data.symmetric is true: set it to false")
        return self


@dataclass(config=_STRICT, frozen=True)
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
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the encoder; `auto` is bf16 on CUDA and fp32 on a CPU."""


@dataclass(config=_STRICT, frozen=True)
class StoreSection:
    """The Zarr v3 embedding store."""

    path: str | None = None
    """Default: `store.zarr` in the run folder."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    shard_rows: int = Field(default=16384, ge=1, le=16_777_216)
    """Rows (residues) in one Zarr shard, the unit of writing and of work."""
    chunk_rows: int = Field(default=128, ge=1, le=65_536)
    """Rows in one inner chunk, the unit of checking."""
    max_files: int = Field(default=100_000, ge=1, le=1_000_000_000)
    """A store of more files is refused before the job starts; a larger `shard_rows` makes fewer."""


@dataclass(config=_STRICT, frozen=True)
class ModelSection:
    """The network that compares a ligand with a receptor."""

    name: ModelName = "pseudo_siamese"
    size: Literal["light", "base", "large"] = "base"
    """What stands for the settings that are null."""
    d_model: int | None = Field(default=None, ge=8, le=65_536)
    num_heads: int | None = Field(default=None, ge=1, le=65_536)
    num_conv_layers: int | None = Field(default=None, ge=0, le=1_000)
    num_transformer_layers: int | None = Field(default=None, ge=0, le=1_000)
    """In `cross_attention` and `pair_of_pairs` blocks of cross attention, at least one."""
    kernel_size: int = Field(default=5, ge=1, le=65_536)
    num_pooling_queries: int | None = Field(default=None, ge=1, le=65_536)
    embedding_size: int | None = Field(default=None, ge=2, le=65_536)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    margin: float = Field(default=2.0, gt=0, le=2)
    """Distance at which a pair of label 0 costs nothing, and scores 0.025; 2 is the largest distance there is."""
    max_length: int = Field(default=2048, ge=1, le=10_000_000)
    """`normalized_sequence_length`: longer sequences are centre-cropped in the network, never in the store."""


def _whole(value: Any) -> Any:
    """Pydantic takes `true` and 1.0 for a literal 1."""
    if type(value) is not int:
        raise ValueError("Input should be 0, 1, 2 or 3")
    return value


@dataclass(config=_STRICT, frozen=True)
class TrainSection:
    """Optimisation, validation and checkpoints."""

    zero_stage: Annotated[Literal[0, 1, 2, 3], BeforeValidator(_whole)] = 2
    precision: Precision = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
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
    max_steps: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Stop after this many steps, whatever `epochs` says; the schedule ends there too."""
    global_batch_size: int = Field(default=128, ge=1, le=16_777_216)
    """Pairs in one optimiser step, over all ranks and accumulation steps."""
    micro_batch_size: int = Field(default=128, ge=1, le=1_000_000)
    """Most pairs in one forward pass of one rank; gradient accumulation follows from it."""
    pairs_per_receptor: int = Field(default=8, ge=1, le=1_000_000)
    """Pairs of one receptor that come together, so that it is read once for all of them; 1 deals them out singly."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1e3)
    min_learning_rate_ratio: float = Field(default=0.05, ge=0, le=1)
    warmup_steps: int = Field(default=100, ge=0, le=1_000_000_000)
    weight_decay: float = Field(default=0.01, ge=0, le=1e3)
    gradient_clipping: float = Field(default=1.0, ge=0, le=1e9)
    """Largest global gradient norm; 0 switches clipping off."""
    validate_every: int = Field(default=0, ge=0, le=1_000_000_000)
    """Steps between validations; 0 means once an epoch."""
    monitor: Literal["auroc", "loss"] = "auroc"
    patience: int = Field(default=0, ge=0, le=1_000_000)
    """Validations without improvement before stopping; 0 never stops early."""
    save_every: int = Field(default=0, ge=0, le=1_000_000_000)
    """Steps between checkpoints; 0 means once an epoch."""
    keep_last: int = Field(default=3, ge=1, le=1_000_000)
    """Newest checkpoints that are kept, beside that of the best validation."""
    keep_every: int = Field(default=0, ge=0, le=1_000_000_000)
    """Checkpoints of multiples of this step are made and kept for good; 0 keeps none."""
    allow_precision_change: bool = False
    """Continue a run with another `precision`; its float32 masters are kept."""
    allow_changes: bool = False
    """Continue a run although its checkpoint has other settings or data; the differences go into `metrics.jsonl`."""


@dataclass(config=_STRICT, frozen=True)
class EvaluateSection:
    """Metrics on the held-out splits."""

    bootstrap: int = Field(default=1000, ge=0, le=1_000_000)
    controls: list[ControlName] | None = None
    """What the model is measured against; when absent all of them. An empty list leaves them out."""
    batch_size: int = Field(default=512, ge=1, le=1_000_000)
    allow_changes: bool = False
    """Measure on other data than trained on, without the pairs that were; recorded."""


@dataclass(config=_STRICT, frozen=True)
class ClusterSection:
    """How jobs are started; the site's own facts are in the profile."""

    cluster: Literal["auto", "slurm", "local"] = "auto"
    """`auto` takes Slurm where `srun` is found, else this machine with one process per node asked for."""
    profile: str | None = None
    """A JSON file, or the name of one in `slurm/profiles`; on the command line a path from the current folder."""
    nodes: int = Field(default=1, ge=1, le=100_000)
    tasks_per_node: int | None = Field(default=None, ge=1, le=1_024)
    """Ranks on a node; when absent the profile's, or one. Normally one a GPU."""
    time_min: int | None = Field(default=None, ge=1, le=1_000_000)
    """Limit of a job; when absent the profile's, or one hour."""
    array: int = Field(default=1, ge=1, le=100_000)
    """Embedding: tasks of a Slurm job array, each with `nodes` nodes and shards of its own."""


@dataclass(config=_STRICT, frozen=True)
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


def load_config(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    exact: Mapping[str, Any] | None = None,
    given_by: str = "the command line",
) -> SnwConfig:
    """Read `SNW_config.json`; `overrides` maps dotted keys (`train.zero_stage`) to values, `None` meaning not given.

    `exact` does too, and there `None` is null. What is wrong with these alone is told of `given_by`, not of the file.

    Relative paths of the file are taken from the folder of the file, so a command works from anywhere.
    Raises `InputError` naming the file, the line of a JSON mistake, or the key.
    """
    path = Path(path)
    try:
        values = read_json(path, _MOST_BYTES)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file. Give --config FILE, or run in a folder with SNW_config.json."
        ) from None
    except BadFileError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: the top level must be an object with the sections {legal_keys(SnwConfig)}.")
    given = {key: value for key, value in (overrides or {}).items() if value is not None} | dict(exact or {})
    return _absolute(_with_given(values, given, str(path), given_by), path.resolve().parent)


def _with_given(values: dict[str, Any], given: Mapping[str, Any], source: str, given_by: str) -> SnwConfig:
    """The values of a file with others; raises `InputError` for the file's mistakes first, then for those of the rest.

    Another value may mend a mistake of the file.
    """
    changed = copy.deepcopy(values)
    for key, value in given.items():
        _set_dotted(changed, key, value)
    try:
        return config_from_dict(changed, given_by)
    except InputError:
        config_from_dict(values, source)
        raise


def with_values(config: SnwConfig, values: Mapping[str, Any], source: str) -> SnwConfig:
    """The same configuration with other values for some dotted keys, which `source` gives."""
    changed = config_to_dict(config)
    for key, value in values.items():
        _set_dotted(changed, key, value)
    return config_from_dict(changed, source)


def parse_layers(text: str | None) -> int | list[int] | None:
    """`encoder.layer` from the command line: "-1", or "10,20,30"; raises `InputError` for anything else."""
    if text is None:
        return None
    try:
        layers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--layer {text!r}: give a number, or several with commas between them") from None
    return layers if len(layers) > 1 else layers[0]


def _set_dotted(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"{key}: {section}: must be an object, and is a value")
    values[name] = value


def _absolute(config: SnwConfig, base: Path) -> SnwConfig:
    """Anchor the relative paths at `base`; a hub id (no such path beside the file) stays as it is."""

    def anchor(value: str) -> str:
        return str(base / expanded(value))

    data = dataclasses.replace(
        config.data,
        ligands=anchor(config.data.ligands),
        receptors=anchor(config.data.receptors),
        pairs=anchor(config.data.pairs),
        folder=anchor(config.data.folder) if config.data.folder else None,
    )
    weights = config.encoder.weights
    if weights and (Path(anchor(weights)).exists() or weights.startswith((".", "/", "~")) or weights.endswith(".pth")):
        weights = anchor(weights)
    profile = config.cluster.profile and profile_from(config.cluster.profile, base)
    return dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, folder=anchor(config.run.folder)),
        data=data,
        encoder=dataclasses.replace(config.encoder, weights=weights),
        store=dataclasses.replace(config.store, path=anchor(config.store.path) if config.store.path else None),
        cluster=dataclasses.replace(config.cluster, profile=profile),
    )
