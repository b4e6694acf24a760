"""Figures and tables of a run, drawn from the files it left on disk; torch is never imported here."""
