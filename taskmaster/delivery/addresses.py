"""Which addresses a request may go to.

Rules of residence: pure; tables and one decision about one address. Names, URLs and resolving are
`egress.py`'s. `ipaddress.is_global` is not asked: its tables differ between Python's releases,
and those of 3.11 call NAT64 and 6to4 global.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from taskmaster.delivery.refusal import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class EgressRules(Struct, frozen=True):
    """Where requests may go beside the public internet. `loopback`: all of this machine's own
    addresses, meant for a server that itself listens on loopback only."""

    allow: tuple[Network, ...] = ()
    loopback: bool = False


class _Block(Struct, frozen=True):
    network: Network
    what: str


def _blocks(what: str, *networks: str) -> tuple[_Block, ...]:
    return tuple(_Block(ip_network(network), what) for network in networks)


FORBIDDEN = (
    # Metadata services hand out the machine's own credentials: first, to be named as such.
    *_blocks("a cloud metadata address", "169.254.169.254/32", "168.63.129.16/32"),  # most, Azure
    *_blocks("a cloud metadata address", "100.100.100.200/32", "192.0.0.192/32"),  # Alibaba, Oracle
    *_blocks("a cloud metadata address", "fd00:ec2::/32", "fd20:ce::254/128"),  # Amazon, Google
    *_blocks("a cloud metadata address", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128"),  # Oracle,
    # and Scaleway.
    *_blocks("a link-local address", "169.254.0.0/16", "fe80::/10"),
    *_blocks("an unspecified address", "0.0.0.0/8", "::/128"),
    *_blocks("a multicast address", "224.0.0.0/4", "ff00::/8"),
    *_blocks("a reserved address", "240.0.0.0/4", "192.0.0.0/24", "192.88.99.0/24", "100::/64"),
)
"""Refused whatever the rules say. The first block that holds an address names it."""

LOOPBACK = _blocks("a loopback address", "127.0.0.0/8", "::1/128")

CLOSED = (
    *_blocks("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *_blocks("a private address", "fc00::/7", "fec0::/10"),
    *_blocks("a carrier's shared address", "100.64.0.0/10"),
    *_blocks("a benchmarking address", "198.18.0.0/15", "2001:2::/48"),
    *_blocks("a documentation address", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    *_blocks("a documentation address", "2001:db8::/32", "3fff::/20"),
    *_blocks("an address for protocols' own use", "2001::/23"),
)
"""Refused unless a network of `EgressRules.allow` holds the address."""

_GLOBAL_V6 = IPv6Network("2000::/3")  # all that IANA has given out for use across the internet


def refuse_address(address: Address, rules: EgressRules) -> Refusal | None:
    """Say why no request may go to `address`, or `None`.

    An address that carries IPv4 ones (mapped, 6to4, NAT64, Teredo and their like) is judged by
    those: each must be allowed.
    """
    for plain in _unwrapped(address):
        for block in FORBIDDEN:
            if plain in block.network:
                return _refusal(address, block.what, "give the endpoint's public address")
        block = _closed(plain, rules)
        if block is not None and not any(plain in network for network in rules.allow):
            return _refusal(
                address,
                block.what,
                "to allow it, add its network to egress.allow "
                f"(TASKMASTER_EGRESS__ALLOW={block.network})",
            )
    return None


def _closed(address: Address, rules: EgressRules) -> _Block | None:
    for block in LOOPBACK:
        if address in block.network:
            return None if rules.loopback else block
    for block in CLOSED:
        if address in block.network:
            return block
    if address.version == 6 and address not in _GLOBAL_V6:
        return _Block(ip_network(address), "not a public address")
    return None


def _refusal(address: Address, what: str, remedy: str) -> Refusal:
    return Refusal("url", f"url leads to {address}, {what}", remedy)


_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of the interface's id, RFC 5214
_LOW = 0xFFFF_FFFF


def _unwrapped(address: Address) -> Iterator[Address]:
    """The addresses that packets to `address` may reach in the end; at least one.

    Of NAT64's local prefix only the last 32 bits are read: where a site puts them elsewhere
    (RFC 6052 has five layouts) its prefix is not in the public range and stays closed.
    """
    if isinstance(address, IPv4Address):
        yield address
        return
    number = int(address)
    low = IPv4Address(number & _LOW)
    if address in _MAPPED or address in _TRANSLATED or address in _NAT64[0]:
        yield low
    elif address in _NAT64[1]:
        yield low
        yield address
    elif address in _COMPATIBLE and number > 1:  # :: and ::1 are what they are
        yield low
    elif address in _SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & _LOW)
    elif address in _TEREDO:
        yield IPv4Address(number >> 64 & _LOW)  # its server
        yield IPv4Address(~number & _LOW)  # its client
    else:
        if number >> 32 & _LOW in _ISATAP:
            yield low
        yield address


def parse_address(text: str) -> Address:
    """An address as a resolver gives it; the zone of a scoped one is dropped.

    Raises:
        ValueError: it is none.
    """
    return ip_address(text.partition("%")[0])
