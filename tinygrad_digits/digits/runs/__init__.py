"""Runs on disk: what a training leaves in a folder, and what is read back from it."""
