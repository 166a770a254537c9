"""The promises of tests/faults/README.md, row by row, with the tests that keep them."""

from __future__ import annotations

from collections.abc import Sequence

CLAIMS = "tests/unit/hpc/save/test_claims.py::"
DAMAGED_CLAIMS = "tests/unit/hpc/save/test_damaged_claims.py::"
EMBED = "tests/faults/test_embedding_kill.py::"
MAKING = "tests/unit/embedding/store/test_part_names.py::"
CHECKPOINT = "tests/unit/hpc/save/test_checkpoint.py::"
SAVING = "tests/unit/hpc/save/test_saving_failures.py::"
CALIBRATION = "tests/unit/predict/test_calibration.py::"
BUNDLE = "tests/unit/bundle/test_read.py::"
EXPORT = "tests/unit/predict/test_export_damage.py::"
WHOLE = "tests/unit/evaluate/test_run.py::"
KILL = "tests/faults/test_checkpoint_kill.py::"
MEND = "tests/unit/embedding/store/test_verify.py::"
RANKS = "tests/faults/test_ranks.py::"
RUNS = "tests/distributed/test_training_runs.py::"
SLURM = "tests/slurm/test_on_slurm.py::"
STOP = "tests/distributed/test_stop_together.py::"
ATTACKS = "tests/distributed/test_training_attacks.py::"
SCRIPTS = "tests/slurm/test_batch_scripts.py::"
EVERY = "tests/slurm/test_every_stop.py::"
ELASTIC = "tests/distributed/test_elastic.py::"
STATE = "tests/unit/trained_run/test_resumable.py::"
TRAIN = "tests/faults/test_training_faults.py::"
RETENTION = "tests/unit/hpc/save/test_retention.py::"
DELETIONS = "tests/unit/hpc/save/test_retention_deletions.py::"
NAMES = "tests/unit/hpc/save/test_checkpoint_names.py::"
MANIFEST = "tests/unit/hpc/save/test_manifest.py::"
SAVED = "tests/unit/train/test_saved.py::"
SAVES = "tests/unit/train/test_saves.py::"
PIECES = "tests/unit/train/test_pieces.py::"
WATCHDOG = "tests/unit/hpc/ranks/test_watchdog.py::"
COMMITS = "tests/unit/embedding/store/test_commits.py::"
BOUND = "tests/unit/train/test_bound.py::"

PROMISES: dict[int, tuple[str, Sequence[str]]] = {
    1: ("USR2 to all ranks", [f"{STOP}test_a_storm_of_signals_changes_nothing", f"{EVERY}test_no_step_is_lost"]),
    2: (
        "SIGTERM alone",
        [
            f"{SLURM}test_preempted_by_the_urgent_partition",
            f"{SLURM}test_preempted_while_slurm_is_still_signalling",
            f"{SLURM}test_a_cancelled_job_saves",
            f"{SCRIPTS}test_train_is_preempted_and_loses_no_step",
            f"{EVERY}test_no_step_is_lost",
        ],
    ),
    3: (
        "a signal to one rank only",
        [f"{STOP}test_a_signal_to_one_rank_stops_all_at_one_step", f"{STOP}test_three_ranks_signalled"],
    ),
    4: (
        "SIGKILL of one rank, or of the process that runs local ranks",
        [
            f"{SLURM}test_one_rank_killed",
            f"{RANKS}test_a_dead_rank_ends_the_job",
            f"{RANKS}test_ranks_outside_a_collective_do_not_outlive",
            "tests/faults/test_shared_memory.py::",
            f"{WATCHDOG}test_a_peer_that_dies",
            "tests/unit/hpc/submit/test_local_tasks.py::test_tasks_save_and_end_with_their_controller",
            "tests/unit/hpc/submit/test_executor_on_this_machine.py::test_ranks_save_and_end_when_their_controller_is_killed",
            "tests/unit/hpc/submit/test_submitted.py::test_the_first_cause_is_told",
            f"{EVERY}test_a_failed_node",
        ],
    ),
    5: (
        "SIGKILL inside a save",
        [
            f"{KILL}test_killed_while_saving",
            f"{KILL}test_one_rank_killed_while_saving",
            f"{DELETIONS}test_what_is_busy_is_a_warning",
            f"{DELETIONS}test_an_old_one_that_is_read_only",
            f"{DELETIONS}test_what_belongs_to_another_user",
            f"{DELETIONS}test_a_deletion_that_ends_half_way",
            f"{DELETIONS}test_links_in_the_place_of_leftovers",
        ],
    ),
    6: (
        "a rank that hangs when the signal comes",
        [
            f"{STOP}test_watchdog_ends_a_rank_whose_peer_hangs",
            f"{STOP}test_a_save_that_moves_is_waited_for",
            f"{ATTACKS}test_a_stop_during_the_validation",
            "tests/unit/hpc/ranks/test_background.py::test_the_watchdog_knows",
            f"{WATCHDOG}test_a_stop_request",
            f"{WATCHDOG}test_a_rank_that_is_only_slow",
        ],
    ),
    7: (
        "checkpoints missing or all damaged",
        [
            f"{CHECKPOINT}test_all_damaged_is_never_a_start_from_zero",
            f"{KILL}test_resume_after_the_newest_was_damaged",
            f"{RETENTION}test_after_a_damaged_newest_one_every_start_goes_on",
            f"{RETENTION}test_several_damaged_ones",
            f"{DELETIONS}test_a_damaged_one_that_cannot_be_renamed",
            f"{NAMES}test_a_stray_folder_is_left_alone",
            f"{NAMES}test_what_was_renamed_is_not_nothing",
            f"{NAMES}test_the_name_alone_counts_as_damaged",
            f"{NAMES}test_a_folder_of_checkpoints_that_is_gone",
            f"{SAVES}test_after_a_damaged_newest_one_the_saves_of_a_run_stay",
            f"{BOUND}test_checkpoints_that_are_gone",
        ],
    ),
    8: (
        "a bit flipped, a file cut",
        [
            f"{CHECKPOINT}test_any_flipped_bit",
            f"{CHECKPOINT}test_other_damage_to_any_file",
            f"{CHECKPOINT}test_no_flipped_bit_of_the_manifest",
            f"{RUNS}test_damage_falls_back_and_ends_equal",
            f"{RETENTION}test_an_older_damaged_one_does_not_count",
            f"{MANIFEST}test_any_manifest",
            f"{RUNS}test_a_lost_export",
            f"{EXPORT}test_any_flipped_bit",
            f"{EXPORT}test_a_file_cut_or_grown",
            f"{CALIBRATION}test_any_flipped_bit",
            f"{BUNDLE}test_any_of_200_flipped_bits",
            f"{WHOLE}test_the_command_with_a_flipped_bit",
        ],
    ),
    9: (
        "files of two saves or exports mixed",
        [
            f"{CHECKPOINT}test_files_of_two_saves_mixed",
            f"{RETENTION}test_a_whole_one_of_a_future_that_was_given_up",
            f"{PIECES}test_an_overlap_does_not_hide_what_is_missing",
            f"{PIECES}test_signed_pieces_that_are_not_the_network",
            f"{EXPORT}test_two_exports_mixed",
        ],
    ),
    10: (
        "full disk",
        [
            f"{SAVING}test_full_disk",
            f"{TRAIN}test_a_full_disk",
            f"{WHOLE}test_a_file_that_may_not_grow",
            "tests/unit/hpc/job/test_run.py::test_a_full_disk_ends_with_3",
            "tests/unit/embedding/test_estimate.py::test_a_full_disk_is_said",
        ],
    ),
    11: (
        "another number of ranks",
        [f"{RUNS}test_ranks_and_accumulation_do_not_change_the_mathematics", f"{ELASTIC}test_the_loss_goes_on"],
    ),
    12: (
        "another ZeRO stage or precision",
        [f"{ELASTIC}test_", f"{STATE}test_another_precision_has_a_permission_of_its_own"],
    ),
    13: (
        "another configuration",
        [
            f"{RUNS}test_another_run_in_the_same_folder_is_refused",
            f"{STATE}test_another_run_ends_with_two",
            f"{BOUND}test_other_data_are_refused",
            f"{BOUND}test_data_that_were_replaced_all_the_same",
            f"{BOUND}test_a_finished_run_that_is_extended",
            "tests/unit/evaluate/test_measurable.py::",
        ],
    ),
    14: (
        "the old incarnation is still alive",
        [
            f"{KILL}test_a_stale_attempt_ends_without_committing",
            f"{CLAIMS}test_a_stopped_owner",
            f"{CLAIMS}test_a_late_listing",
            f"{SAVING}test_a_superseded_attempt",
            "tests/unit/hpc/save/test_saving.py::test_superseded",
            "tests/distributed/test_rendezvous.py::test_a_stale_address_is_not_joined",
        ],
    ),
    15: (
        "two jobs on one folder",
        [
            "tests/faults/test_two_jobs.py::",
            "tests/unit/hpc/save/test_fence.py::",
            f"{CLAIMS}test_",
            f"{DAMAGED_CLAIMS}test_",
            f"{EMBED}test_several_embeddings_at_the_same_instant",
        ],
    ),
    16: (
        "requeue of one array task",
        [
            "tests/slurm/test_embedding_on_slurm.py::test_a_preempted_array_task_is_requeued_by_itself",
            f"{SCRIPTS}test_embed_as_an_array_with_a_task_that_is_queued_again",
            f"{SCRIPTS}test_predict_as_an_array_with_a_task_that_is_queued_again",
            f"{MAKING}test_many_make_and_finish",
            f"{MAKING}test_one_late_to_make",
        ],
    ),
    17: (
        "embedding killed at a random moment",
        [f"{EMBED}test_", f"{MAKING}test_killed_at_any_line", f"{MAKING}test_tables_that_are_not_whole"],
    ),
    18: (
        "a shard deleted, cut or flipped, also while it is read",
        [
            f"{MEND}test_",
            "tests/unit/embedding/store/test_changed_shards.py::",
            "tests/unit/predict/test_batches.py::test_a_damaged_shard_stops_the_batch",
        ],
    ),
    19: ("more ranks than shards, nothing to embed", ["tests/faults/test_odd_sizes.py::"]),
    20: (
        "bad FASTA",
        [
            "tests/unit/data/files/test_fasta.py::",
            "tests/unit/data/records/test_sequences.py::",
            "tests/unit/data/files/test_text.py::",
        ],
    ),
    21: (
        "bad pairs and labels, tables that unpack to more than memory holds",
        [
            "tests/unit/data/records/test_pairs.py::",
            "tests/unit/data/files/test_cells.py::",
            "tests/unit/data/files/test_hostile.py::",
        ],
    ),
    22: (
        "files that mean harm: pipes, bombs, deep or enormous JSON, manifests and tables that cannot be true",
        [
            "tests/faults/test_harmful_files.py::",
            "tests/unit/embedding/store/test_hostile.py::",
            "tests/unit/data/files/test_hostile.py::",
            "tests/unit/test_config_file.py::test_any_configuration",
            "tests/unit/test_config.py::test_no_number_is_without_a_limit",
            "tests/unit/model/test_build.py::test_a_network_larger_than_the_memory",
            "tests/unit/embedding/weights/test_read.py::test_code_in_a_pth_does_not_run",
            f"{CHECKPOINT}test_files_of_another_user",
            f"{CHECKPOINT}test_names_that_lead_elsewhere",
            f"{MANIFEST}test_",
            f"{SAVED}test_a_signed_",
            f"{PIECES}test_a_signed_",
            f"{SAVED}test_a_step_beyond_the_plan",
            f"{PIECES}test_a_header_of_any_length",
            f"{PIECES}test_headers_that_unfold",
            f"{PIECES}test_a_random_state_that_is_none",
            f"{PIECES}test_a_file_of_a_terabyte",
            f"{PIECES}test_a_state_that_is_no_file",
            "tests/unit/train/test_saved_any_content.py::test_any_signed_content",
            f"{EXPORT}test_a_manifest_that_means_harm",
            f"{EXPORT}test_weights_that_mean_harm",
            f"{EXPORT}test_what_is_no_file",
            f"{EXPORT}test_any_bytes",
            f"{CALIBRATION}test_a_calibration_that_means_harm",
            "tests/unit/hpc/disk/test_json_lines.py::test_any_bytes",
        ],
    ),
    23: (
        "numbers that are not finite",
        [
            f"{RUNS}test_a_loss_that_is_not_finite_stops_all_ranks",
            f"{ATTACKS}test_a_gradient_that_is_not_finite_stops_all_ranks",
            f"{ATTACKS}test_fp16_counts_what_it_skips",
            "tests/unit/train/test_finite.py::",
            f"{COMMITS}test_a_value_that_is_not_finite_names_its_sequence",
            f"{MEND}test_rows_that_are_not_finite",
        ],
    ),
    24: (
        "a bad environment",
        [
            "tests/unit/hpc/job/test_run.py::test_bad_environment_ends_with_4",
            "tests/unit/hpc/machine/test_extensions.py::test_a_killed_builder_stops_nobody",
            "tests/distributed/test_rendezvous.py::test_a_missing_rank_is_named_by_all_others",
            "tests/distributed/test_preflight_of_ranks.py::",
            "tests/unit/launch/test_mistakes.py::test_the_doctor",
            "tests/unit/train/test_shared_buffers.py::",
        ],
    ),
    25: (
        "the time limit, and preemption again and again",
        [
            f"{STOP}test_the_time_limit_of_one_rank_stops_all_without_a_signal",
            f"{EVERY}test_no_step_is_lost",
            f"{TRAIN}test_killed_while_resuming",
            f"{TRAIN}test_stopped_with_a_save_in_flight",
        ],
    ),
}


def rows_of(test: str) -> list[int]:
    """The promises that a test, by its node id, belongs to."""
    return [row for row, (_, prefixes) in PROMISES.items() if any(test.startswith(prefix) for prefix in prefixes)]
