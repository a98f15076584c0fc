"""What a projection follows."""

from __future__ import annotations

from domain import catalogue
from domain.credits import CreditsGranted
from domain.runs import RunCreated
from projections.catalogue import PROJECTIONS
from projections.projection import topics_of


def test_a_projection_follows_every_version_of_its_types() -> None:
    assert topics_of(CreditsGranted, RunCreated) == {
        "credits.CreditsGranted@1",
        "runs.RunCreated@1",
    }
    for projection in PROJECTIONS:
        assert projection.topics <= catalogue.TOPICS


def test_projections_share_no_name_and_no_table() -> None:
    names = [projection.name for projection in PROJECTIONS]
    tables = [table for projection in PROJECTIONS for table in projection.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
