"""One page of what the package can say about a classifier, and how far to believe it."""

from .model_report import PAGE, PARTS, report
from .result import ModelReport, PartResult
from .section import Section, Shown

__all__ = ["PAGE", "PARTS", "ModelReport", "PartResult", "Section", "Shown", "report"]
