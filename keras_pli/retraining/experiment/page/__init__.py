"""The page of an experiment, with its tables and figures."""
