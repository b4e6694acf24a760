"""Remedies sweep: the plan of its runs, their outcomes, and the ranking of the remedies in tiers."""
