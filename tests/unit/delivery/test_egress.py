"""Where a URL leads: one parser, a table of odd URLs, and names with all their addresses."""

import asyncio
import socket
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyreqwest.http import Url

from taskmaster.delivery.addresses import EgressRules, parse_address, refuse_address
from taskmaster.delivery.egress import (
    MAX_ORIGINS,
    MAX_URL_LENGTH,
    Egress,
    Target,
    Unresolved,
    default_gate,
    resolve,
)
from taskmaster.delivery.refusal import Refusal

INTERNET = EgressRules()
OPEN = EgressRules(allow=(ip_network("10.0.0.0/8"),), loopback=True)
HOOK = Target("https", "hook.test", 443, is_literal=False)


def refusal(url: str, rules: EgressRules = INTERNET) -> Refusal:
    answer = Egress(rules).check_url(url)
    assert isinstance(answer, Refusal), answer
    assert answer.field == "url"
    assert answer.remedy
    assert "secret" not in answer.message
    return answer


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("https://example.com", "https", "example.com", 443),
        ("http://example.com/", "http", "example.com", 80),
        ("HTTPS://EXAMPLE.com/A?B", "https", "example.com", 443),
        ("https://example.com:443/", "https", "example.com", 443),
        ("https://example.com:/", "https", "example.com", 443),
        ("http://example.com:8080?x=/@:", "http", "example.com", 8080),
        ("http://my_service:8000/a", "http", "my_service", 8000),
        ("http://b\u00fccher.example/", "http", "xn--bcher-kva.example", 80),
        ("http://\u4f8b\u3048.jp/", "http", "xn--r8jz45g.jp", 80),
        ("http://\uff45xample.com/", "http", "example.com", 80),
        ("http://ex%61mple.com/", "http", "example.com", 80),
        ("http://exam\u00adple.com/", "http", "example.com", 80),
        ("http://1e3/", "http", "1e3", 80),
        ("http://1.1.1.1/", "http", "1.1.1.1", 80),
        ("http://16843009/", "http", "1.1.1.1", 80),
        ("http://0x01010101/", "http", "1.1.1.1", 80),
        ("http://01.01.01.01/", "http", "1.1.1.1", 80),
        ("http://1.65793/", "http", "1.1.1.1", 80),
        ("http://1.1.1.1./", "http", "1.1.1.1", 80),
        ("https://[2606:4700:4700::1111]:8443/", "https", "2606:4700:4700::1111", 8443),
        ("https://[2606:4700:4700:0:0:0:0:1111]/", "https", "2606:4700:4700::1111", 443),
        ("http://example.com/a%20b", "http", "example.com", 80),
        ("http://example.com/@user:pw@x", "http", "example.com", 80),
        ("http://example.com/caf\u00e9", "http", "example.com", 80),
        ("http://localhost/", "http", "localhost", 80),
    ],
)
def test_a_url_leads_where_the_parser_that_connects_reads_it(
    url: str, scheme: str, host: str, port: int
) -> None:
    target = Egress(INTERNET).check_url(url)

    assert isinstance(target, Target)
    assert (target.scheme, target.host, target.port) == (scheme, host, port)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.1.",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
        "127%2e0%2e0%2e1",
        "%31%32%37.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "167772161",
        "0xa.1",
        "012.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "0xc0a80001",
        "100.64.0.1",
        "[fd00::1]",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "168.63.129.16",
        "100.100.100.200",
        "0",
        "0.0.0.0",
        "0x0",
        "[::]",
        "255.255.255.255",
        "224.0.0.1",
        "[ff02::1]",
        "192.0.2.1",
    ],
)
def test_an_address_is_refused_however_it_is_spelled(host: str) -> None:
    answer = refusal(f"http://{host}/?token=secret")

    assert answer.message.startswith("url leads to ")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://evil\\@good/", "url holds a backslash"),
        ("http:\\\\example.com", "url holds a backslash"),
        ("http://example.com/a\\b", "url holds a backslash"),
        ("http://user@example.com/", "url holds a user name or password"),
        ("http://user:secret@example.com/", "url holds a user name or password"),
        ("http://@example.com/", "url holds a user name or password"),
        ("http://1.1.1.1@127.0.0.1/", "url holds a user name or password"),
        ("http://1.1.1.1 @127.0.0.1/", "url holds whitespace or a control character"),
        (" http://example.com", "url holds whitespace or a control character"),
        ("http://example.com/\n", "url holds whitespace or a control character"),
        ("ht\ttp://example.com/", "url holds whitespace or a control character"),
        ("http://exa\nmple.com/", "url holds whitespace or a control character"),
        ("http://example.com/a b", "url holds whitespace or a control character"),
        ("http://example.com/\x00", "url holds whitespace or a control character"),
        ("http://example.com/\x7f", "url holds whitespace or a control character"),
        ("http://example.com/\x85", "url holds whitespace or a control character"),
        ("http://example.com/\u2028", "url holds whitespace or a control character"),
        ("http://example.com/\ud800", "url holds whitespace or a control character"),
        ("http://example.com/#a", "url has a fragment"),
        ("http://example.com#", "url has a fragment"),
        ("http://example.com#@10.0.0.1/", "url has a fragment"),
        ("ftp://example.com/", "url does not begin with http:// or https:// and a host"),
        ("file:///etc/passwd", "url does not begin with http:// or https:// and a host"),
        ("gopher://example.com/", "url does not begin with http:// or https:// and a host"),
        ("ws://example.com/", "url does not begin with http:// or https:// and a host"),
        ("javascript:alert(1)", "url does not begin with http:// or https:// and a host"),
        ("//example.com/", "url does not begin with http:// or https:// and a host"),
        ("example.com", "url does not begin with http:// or https:// and a host"),
        ("http:example.com", "url does not begin with http:// or https:// and a host"),
        ("http:/example.com", "url does not begin with http:// or https:// and a host"),
        ("http:///example.com", "url does not begin with http:// or https:// and a host"),
        ("http://", "url does not begin with http:// or https:// and a host"),
        ("http://?x", "url does not begin with http:// or https:// and a host"),
        ("", "url does not begin with http:// or https:// and a host"),
        ("http://:80/", "url has a host or port that cannot be read: empty host"),
        ("http://a:65536/", "url has a host or port that cannot be read: invalid port number"),
        ("http://a:b/", "url has a host or port that cannot be read: invalid port number"),
        ("http://a:0/", "url has port 0"),
        ("http://[::1/", "url has a host or port that cannot be read: invalid IPv6 address"),
        (
            "http://[fe80::1%25eth0]/",
            "url has a host or port that cannot be read: invalid IPv6 address",
        ),
        ("http://1.2.3.4.5/", "url has a host or port that cannot be read: invalid IPv4 address"),
        ("http://256.0.0.1/", "url has a host or port that cannot be read: invalid IPv4 address"),
        (
            "http://a%2fb/",
            "url has a host or port that cannot be read: invalid international domain name",
        ),
        (
            "http://a%00b/",
            "url has a host or port that cannot be read: invalid international domain name",
        ),
        (
            "http\u017f://example.com/",
            "url has a host or port that cannot be read: relative URL without a base",
        ),
        ("http://example.com./", "url has a host that ends in a dot"),
        ("http://localhost./", "url has a host that ends in a dot"),
        ("http://a..b/", "url has a host that is no name: a..b"),
        ("http://.a/", "url has a host that is no name: .a"),
        ("http://a,b/", "url has a host that is no name: a,b"),
        ("http://a'b/", "url has a host that is no name: a'b"),
        ("http://a;b/", "url has a host that is no name: a;b"),
        (f"http://{'a' * 64}/", f"url has a host that is no name: {'a' * 64}"),
        (f"http://{'a.' * 127}aa/", f"url has a host that is no name: {'a.' * 40}"),
        ("http://a/" + "x" * MAX_URL_LENGTH, "url is longer than 8192 characters"),
        ("http://a/" + "\u00e9" * 2000, "url is longer than 8192 characters"),
    ],
)
def test_an_ambiguous_or_unusable_url_is_refused(url: str, message: str) -> None:
    assert refusal(url).message == message


def test_a_refused_address_names_the_setting_that_allows_it() -> None:
    answer = refusal("http://10.1.2.3:8080/hook?token=secret")

    assert answer.message == "url leads to 10.1.2.3, a private address"
    assert answer.remedy == (
        "to allow it, add its network to egress.allow (TASKMASTER_EGRESS__ALLOW=10.0.0.0/8)"
    )
    assert isinstance(Egress(OPEN).check_url("http://10.1.2.3:8080/"), Target)
    assert isinstance(Egress(OPEN).check_url("http://[::1]/"), Target)


def test_the_path_is_judged_although_the_origin_is_known() -> None:
    egress = Egress(INTERNET)
    assert isinstance(egress.check_url("http://example.com/a"), Target)

    for path in ("/a\\b", "/a b", "/a#b", "/\x00"):
        assert isinstance(egress.check_url("http://example.com" + path), Refusal)


def test_known_origins_are_bounded() -> None:
    egress = Egress(INTERNET)

    for number in range(MAX_ORIGINS + 10):
        assert isinstance(egress.check_url(f"http://h{number}.test/"), Target)

    known: dict[str, object] = vars(egress)["_origins"]
    assert len(known) <= MAX_ORIGINS


URLS = st.text(
    st.sampled_from("htps:/@\\?#[]%.:-_ 0123456789xXaAfF\uff11\u3002\u00ad\u00e9\n\t\x00"),
    max_size=40,
)


@given(URLS | URLS.map("http://".__add__) | URLS.map("http://1.1.1.1".__add__))
def test_what_passes_is_read_the_same_by_the_parser_that_connects(url: str) -> None:
    answer = Egress(INTERNET).check_url(url)

    if isinstance(answer, Target):
        parsed = Url(url)
        assert parsed.scheme in {"http", "https"}
        assert (parsed.host_str or "").strip("[]") == answer.host
        assert parsed.port_or_known_default == answer.port
        assert not parsed.username
        assert parsed.password is None
        assert parsed.fragment is None
        assert (parsed.domain is None) == answer.is_literal


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_a_literal_passes_exactly_when_its_address_may_be_called(address: object) -> None:
    host = f"[{address}]" if ":" in str(address) else str(address)

    answer = Egress(OPEN).check_url(f"http://{host}/")

    may = refuse_address(parse_address(str(address)), OPEN) is None
    assert isinstance(answer, Target) == may


ANSWERS = st.ip_addresses().map(str) | st.sampled_from(
    [
        "1.1.1.1",
        "93.184.215.14",
        "2606:4700::1111",
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "fe80::1%lo",
        "169.254.169.254",
        "192.168.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "0.0.0.0",
    ]
)


@given(st.lists(ANSWERS, max_size=5), st.sampled_from([INTERNET, OPEN]))
def test_a_name_resolves_to_allowed_addresses_or_not_at_all(
    answers: list[str], rules: EgressRules
) -> None:
    async def lookup(_: Target) -> list[str]:
        return answers

    resolved = asyncio.run(resolve(HOOK, rules, lookup))

    may = [refuse_address(parse_address(answer), rules) is None for answer in answers]
    if not answers:
        assert isinstance(resolved, Unresolved)
    elif all(may):
        assert resolved == tuple(answers)
    else:
        assert isinstance(resolved, Refusal)


async def test_a_name_without_an_answer_says_why() -> None:
    async def lookup(_: Target) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert await resolve(HOOK, INTERNET, lookup) == Unresolved("Name or service not known")


async def test_the_systems_resolver_is_asked_by_default() -> None:
    localhost = Target("http", "localhost", 80, is_literal=False)

    resolved = await resolve(localhost, EgressRules(loopback=True))

    assert isinstance(resolved, tuple)
    assert set(resolved) <= {"127.0.0.1", "::1"}
    assert isinstance(await resolve(localhost, INTERNET), Refusal)


@pytest.mark.parametrize(
    ("url", "gate"),
    [
        ("https://Hooks.example.com/a?b", "https~hooks.example.com~443"),
        ("http://hooks.example.com:8080/", "http~hooks.example.com~8080"),
        ("https://[2606:4700::1111]:8443/", "https~2606-4700--1111~8443"),
        ("http://my_service/", "http~my~5fservice~80"),
        ("http://1.1.1.1/", "http~1.1.1.1~80"),
    ],
)
def test_a_gate_by_default_is_the_origin(url: str, gate: str) -> None:
    target = Egress(INTERNET).check_url(url)

    assert isinstance(target, Target)
    assert default_gate(target) == gate
