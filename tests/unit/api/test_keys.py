"""API keys in their file, and who may come in."""

from pathlib import Path

import pytest

from taskmaster.api.auth import Guard, is_loopback, refuse_open_bind
from taskmaster.api.keys import KeyRing, create_key, key_file, list_keys, revoke_key
from taskmaster.api.problems import ProblemError
from taskmaster.errors import ConflictError, CorruptError, InvalidFieldError, NotFoundError
from taskmaster.events.types import SECOND, Mono, Wall

NOW = Wall(1_000 * SECOND)


def made(path: Path, name: str = "ci", *, byte: bytes = b"a", expires_at: int | None = None) -> str:
    until = None if expires_at is None else Wall(expires_at)
    return create_key(path, name=name, random=byte * 32, now=NOW, expires_at=until)


def test_a_key_is_shown_once_and_kept_as_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "keys"

    key = made(path)

    assert key.startswith("tm_")
    assert len(key) == 46
    assert key not in path.read_text()
    assert [one.name for one in list_keys(path)] == ["ci"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_is_found_until_it_expires_or_is_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key = made(path, expires_at=NOW + 10)
    other = made(path, "other", byte=b"b")
    ring = KeyRing(path)

    found, late, wrong = ring.find(key, NOW), ring.find(key, Wall(NOW + 10)), ring.find("tm_", NOW)
    revoke_key(path, "other")
    ring.look(Mono(10 * SECOND))

    assert found is not None
    assert (found.name, late, wrong) == ("ci", None, None)
    assert ring.find(other, NOW) is None
    assert not ring.is_empty


def test_names_are_used_once_and_must_be_names(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made(path)

    with pytest.raises(ConflictError):
        made(path)
    for name in ("", "a b", "-x", "x" * 64, "a\n"):
        with pytest.raises(InvalidFieldError):
            made(path, name)
    with pytest.raises(InvalidFieldError):
        made(path, "late", expires_at=NOW)
    with pytest.raises(NotFoundError):
        revoke_key(path, "nobody")
    assert len(list_keys(path)) == 1


def test_a_file_that_breaks_keeps_the_keys_that_were_known(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key = made(path)
    ring = KeyRing(path)

    path.write_text("{")
    ring.look(Mono(10 * SECOND))

    assert ring.find(key, NOW) is not None
    with pytest.raises(CorruptError):
        KeyRing(path)


def test_a_file_that_goes_locks_the_server(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key = made(path)
    ring = KeyRing(path)

    path.unlink()
    ring.look(Mono(10 * SECOND))

    assert ring.find(key, NOW) is None
    assert not ring.is_empty


def test_a_first_key_locks_an_open_server(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    ring = KeyRing(path)
    guard = Guard(ring, ())
    headers = {b"host": b"localhost"}

    before = guard.author("/v1/tasks", headers, now=NOW, mono=Mono(10 * SECOND))
    made(path)

    assert before == "anonymous"
    with pytest.raises(ProblemError):
        guard.author("/v1/tasks", headers, now=NOW, mono=Mono(12 * SECOND))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"])
def test_this_machine_needs_no_key(host: str, tmp_path: Path) -> None:
    assert is_loopback(host)
    refuse_open_bind(host, KeyRing(tmp_path / "keys"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "", "localhost.x"])
def test_beyond_this_machine_a_key_is_needed(host: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"

    with pytest.raises(InvalidFieldError) as raised:
        refuse_open_bind(host, KeyRing(path))
    assert "taskmaster key create" in raised.value.remedy

    made(path)
    refuse_open_bind(host, KeyRing(path))


def test_keys_lie_beside_the_store() -> None:
    assert key_file("/var/lib/tasks.db") == Path("/var/lib/tasks.db.keys")
    assert key_file("postgresql://h/db") == Path("taskmaster.db.keys")
