"""Clean up instances that belong to nobody."""
