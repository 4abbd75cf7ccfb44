"""Writes the messages of `proto/` as Python into taskmaster/v1.

Rules of residence: nothing but the compiler's call. Run from the root: `python -m tools.protos`;
a test compares.
"""

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc_tools
from grpc_tools import protoc

SOURCES = Path("proto")
PACKAGE = Path("taskmaster/v1")
ABOUT = '"""The messages of gRPC, as `python -m tools.protos` makes them from `proto/`."""\n'


def main() -> int:
    """Write them into the tree."""
    return write(Path())


def write(into: Path) -> int:
    """Write them below `into`; the compiler's exit code."""
    (into / PACKAGE).mkdir(parents=True, exist_ok=True)
    (into / PACKAGE / "__init__.py").write_text(ABOUT, "utf-8")
    paths = sorted((SOURCES / PACKAGE).glob("*.proto"))
    services = [path for path in paths if "\nservice " in path.read_text("utf-8")]
    return _compile(paths, f"--python_out={into}", f"--pyi_out={into}") or _compile(
        services, f"--grpc_python_out={into}"
    )


def _compile(paths: list[Path], *outputs: str) -> int:
    main = cast("Callable[[list[str]], int]", protoc.main)
    return main(
        [
            "protoc",
            f"--proto_path={SOURCES}",
            f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
            f"--proto_path={sysconfig.get_path('purelib')}",  # google/rpc
            *outputs,
            *map(str, paths),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
