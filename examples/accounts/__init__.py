"""Provision accounts in a system that takes few requests at once."""
