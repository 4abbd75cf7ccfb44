"""Who does it: actors, their supervision, and the ports through which the world comes in."""
