"""The commands, some to a module."""
