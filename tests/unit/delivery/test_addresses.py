"""Which addresses requests may go to: a table, and what holds for all of them."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskmaster.delivery.addresses import (
    CLOSED,
    FORBIDDEN,
    LOOPBACK,
    Address,
    EgressRules,
    Network,
    parse_address,
    refuse_address,
)

INTERNET = EgressRules()
EVERYTHING = EgressRules(allow=(ip_network("0.0.0.0/0"), ip_network("::/0")), loopback=True)


def allowed(text: str, rules: EgressRules = INTERNET) -> bool:
    return refuse_address(parse_address(text), rules) is None


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.215.14",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "192.167.255.255",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:830::200e",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ],
)
def test_the_public_internet_is_open(address: str) -> None:
    assert allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "239.255.255.255",
        "ff02::1",
        "ff0e::1",
        "240.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "100::1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:101:101::5601:5601",
        "fd12::5efe:169.254.169.254",
        "fd12::200:5efe:169.254.169.254",
    ],
)
def test_no_rule_opens_what_is_never_an_endpoint(address: str) -> None:
    assert not allowed(address, INTERNET)
    assert not allowed(address, EVERYTHING)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.0/8"),
        ("172.16.0.1", "172.16.0.0/12"),
        ("172.31.255.255", "172.16.0.0/12"),
        ("192.168.1.1", "192.168.0.0/16"),
        ("100.64.0.1", "100.64.0.0/10"),
        ("198.18.0.1", "198.18.0.0/15"),
        ("203.0.113.7", "203.0.113.0/24"),
        ("fc00::1", "fc00::/7"),
        ("fd12:3456::1", "fc00::/7"),
        ("fec0::1", "fec0::/10"),
        ("2001:db8::1", "2001:db8::/32"),
        ("4000::1", "4000::1/128"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("127.255.255.254", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.1", "10.0.0.0/8"),
        ("64:ff9b::10.0.0.1", "10.0.0.0/8"),
        ("2002:a00:1::", "10.0.0.0/8"),
    ],
)
def test_a_closed_network_is_opened_by_the_setting_that_its_refusal_names(
    address: str, network: str
) -> None:
    refusal = refuse_address(parse_address(address), INTERNET)

    assert refusal is not None
    assert refusal.field == "url"
    assert str(parse_address(address)) in refusal.message
    assert "egress.allow" in refusal.remedy
    assert f"(TASKMASTER_EGRESS__ALLOW={network})" in refusal.remedy
    assert allowed(address, EgressRules(allow=(ip_network(network),)))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_open_where_the_rules_say_so(address: str) -> None:
    assert not allowed(address)
    assert allowed(address, EgressRules(loopback=True))
    assert not allowed("10.0.0.1", EgressRules(loopback=True))


def test_one_network_opens_no_other() -> None:
    rules = EgressRules(allow=(ip_network("10.1.0.0/16"),))

    assert allowed("10.1.255.255", rules)
    assert not allowed("10.2.0.0", rules)
    assert not allowed("127.0.0.1", rules)
    assert not allowed("fd00::1", rules)


def mapped(v4: int) -> int:
    return 0xFFFF << 32 | v4


def compatible(v4: int) -> int:
    return v4


def translated(v4: int) -> int:
    return 0xFFFF << 48 | v4


def nat64(v4: int) -> int:
    return 0x64FF9B << 96 | v4


def six_to_four(v4: int) -> int:
    return 0x2002 << 112 | v4 << 80 | 1


def teredo_server(v4: int) -> int:
    return 0x2001 << 112 | v4 << 64 | (~0x01010101 & 0xFFFFFFFF)


def teredo_client(v4: int) -> int:
    return 0x2001 << 112 | 0x01010101 << 64 | (~v4 & 0xFFFFFFFF)


@given(st.integers(256, 2**32 - 1))
@example(int(IPv4Address("169.254.169.254")))
@example(int(IPv4Address("10.0.0.1")))
@example(int(IPv4Address("127.0.0.1")))
@example(int(IPv4Address("1.1.1.1")))
@pytest.mark.parametrize("rules", [INTERNET, EgressRules(loopback=True)])
@pytest.mark.parametrize(
    "wrap",
    [mapped, compatible, translated, nat64, six_to_four, teredo_server, teredo_client],
)
def test_a_wrapped_address_is_judged_as_what_it_wraps(
    wrap: object, rules: EgressRules, number: int
) -> None:
    assert callable(wrap)
    plain = refuse_address(IPv4Address(number), rules)

    wrapped = refuse_address(IPv6Address(wrap(number)), rules)

    assert (wrapped is None) == (plain is None)


ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(ADDRESSES)
@example(IPv4Address("169.254.169.254"))
@example(IPv6Address("::ffff:127.0.0.1"))
def test_what_is_open_is_in_no_block(address: Address) -> None:
    if refuse_address(address, INTERNET) is None:
        mapped_to = getattr(address, "ipv4_mapped", None)
        plain = mapped_to or address
        assert not any(plain in block.network for block in (*FORBIDDEN, *LOOPBACK, *CLOSED))
        assert not plain.is_loopback
        assert not plain.is_link_local
        assert not plain.is_multicast
        assert not plain.is_unspecified


@given(ADDRESSES, st.sampled_from([ip_network("10.0.0.0/8"), ip_network("fd00::/8")]))
def test_allowing_a_network_closes_nothing(address: Address, network: Network) -> None:
    if refuse_address(address, INTERNET) is None:
        assert refuse_address(address, EgressRules(allow=(network,), loopback=True)) is None
