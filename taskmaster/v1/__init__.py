"""The messages of gRPC, as `python -m tools.protos` makes them from `proto/`."""
