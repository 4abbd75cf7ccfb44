"""TaskMaster: a central task scheduler whose every decision is an event in a log.

The packages, from the facts up to the edges, and who may import whom: ARCHITECTURE.md, and the
import contracts in pyproject.toml.
"""

__version__ = "0.1.0"
