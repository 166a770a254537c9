"""Each of Slurm's reasons is one that ends, or is told with what to do."""

import pytest

from hpc.submit.pending import meaning

NEVER = """PartitionConfig PartitionNodeLimit PartitionTimeLimit BadConstraints InvalidAccount InvalidQOS
AccountNotAllowed QOSNotAllowed AssocMaxWallDurationPerJobLimit AssocMaxCpuPerJobLimit AssocMaxNodePerJobLimit
AssocMaxGRESPerNode AssocMaxMemPerJob AssocMaxCpuMinutesPerJobLimit QOSMaxWallDurationPerJobLimit QOSMaxNodePerJobLimit
QOSMaxGRESPerJob
QOSMaxCpuPerNode QOSMaxMemoryPerNode MaxMemPerLimit QOSMinCpuNotSatisfied QOSMinGRES DependencyNeverSatisfied DeadLine
ReservationDeleted AssociationTimeLimit QOSTimeLimit"""
SOMEBODY = """JobHeldUser JobHeldAdmin JobHoldMaxRequeue PartitionDown PartitionInactive JobLaunchFailure SystemFailure
AssocGrpCPUMinutesLimit AssocGrpGRESMinutes QOSGrpCPUMinutesLimit QOSUsageThreshold launch_failed_requeued_held"""
LATER = """Priority Resources BeginTime Dependency None Licenses JobArrayTaskLimit Reservation Cleaning Prolog
SchedDefer Constraints AssocMaxJobsLimit AssocGrpJobsLimit QOSGrpSubmitJobsLimit QOSMaxJobsPerUserLimit
MaxJobsPerAccount QOSJobLimit AssociationJobLimit SomethingNew"""
TOGETHER = """QOSMaxCpuPerUserLimit MaxMemoryPerAccount AssocGrpCpuLimit QOSGrpNodeLimit AssocGrpCPURunMinutesLimit
QOSGrpGRESRunMinutes AssocGrpWallLimit QOSGrpUnknown AccountingPolicy AssociationResourceLimit QOSResourceLimit"""


@pytest.mark.parametrize("reason", NEVER.split())
def test_never(reason):
    assert "never starts" in meaning(reason, "41")
    assert meaning(reason, "41").startswith(f"{reason}: ")


@pytest.mark.parametrize("reason", SOMEBODY.split())
def test_somebody_must_act(reason):
    assert "waits until somebody acts" in meaning(reason, "41")
    assert "JOB" not in meaning(reason, "41").removeprefix(reason)


@pytest.mark.parametrize("reason", LATER.split())
def test_later(reason):
    assert meaning(reason, "41") is None


@pytest.mark.parametrize("reason", TOGETHER.split())
def test_a_limit_on_all_jobs_together_may_be_less_than_this_one_asks_for(reason):
    """Slurm gives the same reason whether the others use it up or the job alone asks for more: the user must look."""
    assert "unless it asks for more" in meaning(reason, "41")


def test_nodes_that_are_away():
    away = meaning("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "41")
    assert "down, drained or reserved; it starts when they are back" in away
    assert meaning("(Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions)", "4")
    assert "maintenance" in meaning("ReqNodeNotAvail, Reserved for maintenance", "41")
    assert "maintenance" in meaning("ReqNodeNotAvail, UnavailableNodes:", "41"), "no node is named: none is down"
    assert "down, drained" in meaning("(ReqNodeNotAvail(Unavailable:n1))", "41")
    assert "scontrol release 41_3" in meaning("JobHeldUser", "41_3")
