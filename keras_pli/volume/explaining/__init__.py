"""Maps of a cohort, what they hold, and how far to believe them."""
