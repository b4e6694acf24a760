"""Recorded numbers -> verdicts in words: plain numbers in, plain numbers and sentences out."""
