"""Evaluation: arrays in, figures out. Nothing here reads footage or knows a dataset."""
