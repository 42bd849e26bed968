"""Pages on a cohort and on single subjects."""
