"""What happens to an endpoint that comes back to a backlog: with no gate, and with each kind."""
