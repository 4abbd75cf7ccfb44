"""Decisions, pure: state and time in, events out."""
