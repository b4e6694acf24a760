"""Reproduction of published effects: figures measured on the runs of an experiment against published figures."""
