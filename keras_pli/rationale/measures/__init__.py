"""Whether rationales and generators are good: measures, and what to hold them against."""
