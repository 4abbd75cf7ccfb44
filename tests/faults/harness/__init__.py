"""A real server under real faults: an endpoint, a load, and checks of what both have seen."""
