"""Provision repositories in a system that is busy now and then."""
