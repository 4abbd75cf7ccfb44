"""The outbound request: sender, egress guard, signing."""
