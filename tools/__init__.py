"""Checks and chores of the project; nothing here is shipped."""
