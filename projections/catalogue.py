"""Every read model that there is."""

from __future__ import annotations

from projections.credits import CreditsProjection
from projections.graphs import GraphsProjection
from projections.projection import Projection
from projections.reviews import ReviewsProjection
from projections.runs.read_model import RunsProjection

PROJECTIONS: tuple[Projection, ...] = (
    GraphsProjection(),
    RunsProjection(),
    ReviewsProjection(),
    CreditsProjection(),
)
