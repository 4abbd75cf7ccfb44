"""Put applications to sleep that nobody uses."""
