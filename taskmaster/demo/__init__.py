"""The demonstration: an outage, a killed server and a recovery, in one terminal."""
