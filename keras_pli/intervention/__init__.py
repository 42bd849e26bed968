"""Step 2 of a projective latent intervention: saying on a map, and of the data, what should change."""

from .change import Change
from .data_changes import DataChange, Exclude, Relabel, Weigh
from .edited_data import EditedData
from .move import Move
from .move_check import MoveCheck
from .moves import (
    Contract,
    Custom,
    Lasso,
    MovePoints,
    MoveTo,
    Rotate,
    Scale,
    Separate,
    Shift,
    WholeMap,
)
from .occupancy import Occupancy, occupancy
from .plan import InterventionPlan
from .plan_check import PlanCheck
from .proposals import (
    Proposal,
    Proposals,
    near_duplicates,
    propose,
    small_groups,
    suspicious_labels,
    unlabelled_clusters,
)
from .selection import ClassLabel, Indices, Mask, Polygon, Selection
from .suggestion import suggest

__all__ = [
    "Change",
    "ClassLabel",
    "Contract",
    "Custom",
    "DataChange",
    "EditedData",
    "Exclude",
    "Indices",
    "InterventionPlan",
    "Lasso",
    "Mask",
    "Move",
    "MoveCheck",
    "MovePoints",
    "MoveTo",
    "Occupancy",
    "PlanCheck",
    "Polygon",
    "Proposal",
    "Proposals",
    "Relabel",
    "Rotate",
    "Scale",
    "Selection",
    "Separate",
    "Shift",
    "Weigh",
    "WholeMap",
    "near_duplicates",
    "occupancy",
    "propose",
    "small_groups",
    "suggest",
    "suspicious_labels",
    "unlabelled_clusters",
]
