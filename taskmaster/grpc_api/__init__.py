"""gRPC: the operations of the REST API as methods, under the same names and rules."""
