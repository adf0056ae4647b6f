"""Answers to batches in pieces: without an end, ahead of the caller, with progress."""
