"""The docs page: the OpenAPI document as plain HTML, made here, with nothing from elsewhere.

Rules of residence: strings out of a document; no script, no inline style, so that the strictest
content policy holds.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

from taskmaster.api.problems import CODES

POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
STYLE = """
:root { color-scheme: light dark; --line: #8885; --faint: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
section { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem;
  margin: 1rem 0; }
section:target { outline: 3px solid; } code, .path { font-family: ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: 600; }
th, td { text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  padding: .25rem .5rem; } tr:nth-child(even) { background: var(--faint); }
nav ul { columns: 20rem; padding-left: 1.2rem; } summary { cursor: pointer; }
"""


def docs_page(document: dict[str, Any]) -> str:
    """All operations by tag, and all shapes."""
    info = document["info"]
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"]
    parts.append(f"<p>{escape(info['description'])}</p>")
    parts.append(
        '<p><a href="/openapi.json">OpenAPI 3.1</a> · <a href="/docs/problems">Problems</a></p>'
    )
    parts.append("<nav aria-label='Operations'><ul>")
    operations = list(_operations(document))
    for method, path, one in operations:
        parts.append(f'<li><a href="#{one["operationId"]}">{method} {escape(path)}</a></li>')
    parts.append("</ul></nav>")
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2>")
        parts += [_section(m, p, one) for m, p, one in operations if tag["name"] in one["tags"]]
    parts.append("<h2>shapes</h2>")
    schemas: dict[str, Any] = document["components"]["schemas"]
    parts += [_shape(name, schema) for name, schema in sorted(schemas.items())]
    return _page("TaskMaster API", parts)


def problems_page() -> str:
    """What each code means; `type` of a problem leads to its anchor."""
    about = (
        "<p>Errors are <code>application/problem+json</code> (RFC 9457). <code>errors</code> names"
        " each field by its JSON pointer, with what is wrong and the remedy; <code>request_id"
        '</code> is in the server\'s log too. <a href="/docs">All operations</a></p>'
    )
    parts = ["<h1>Problems</h1>", about]
    for code, one in CODES.items():
        parts.append(
            f'<section id="{code}"><h3>{one.status} <code>{code}</code></h3>'
            f"<p><strong>{escape(one.title)}.</strong> {escape(one.about)}</p></section>"
        )
    return _page("TaskMaster problems", parts)


def _page(title: str, parts: list[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    paths: dict[str, dict[str, Any]] = document["paths"]
    for path, by_method in paths.items():
        for method, operation in by_method.items():
            yield method.upper(), path, operation


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section id="{operation["operationId"]}">',
        f'<h3 class="path">{method} {escape(path)}</h3><p>{escape(operation["summary"])}</p>',
    ]
    given: list[tuple[str, str, str]] = [
        (f"{one['name']} ({one['in']})", _type(one["schema"]), one["description"])
        for one in operation.get("parameters", [])
    ]
    if given:
        parts.append(_table("Parameters", given))
    body = operation.get("requestBody")
    if body:
        media = [(name, _type(one["schema"]), "") for name, one in body["content"].items()]
        parts.append(_table("Body" if body["required"] else "Body (may be left out)", media))
    rows: list[tuple[str, str, str]] = []
    for status, one in operation["responses"].items():
        types = ", ".join(_type(c["schema"]) for c in one.get("content", {}).values())
        rows.append((status, types, one["description"]))
    parts.append(_table("Answers", rows))
    return "".join([*parts, "</section>"])


def _shape(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (field + ("" if field in required else "?"), _type(one), one.get("description", ""))
        for field, one in schema.get("properties", {}).items()
    ]
    about = escape(schema.get("description", ""))
    return (
        f'<section id="{name}"><h3><code>{name}</code></h3><p>{about}</p>'
        f"{_table('Fields; ? may be left out', rows)}</section>"
    )


def _table(caption: str, rows: list[tuple[str, str, str]]) -> str:
    """Names are escaped here; types are HTML already."""
    lines = "".join(
        f"<tr><th scope='row'><code>{escape(name)}</code></th><td>{kind}</td>"
        f"<td>{escape(about)}</td></tr>"
        for name, kind, about in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{lines}</tbody></table>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if "enum" in schema:
        return " | ".join(escape(str(value)) for value in schema["enum"])
    if "const" in schema:
        return escape(str(schema["const"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return "list of " + _type(schema.get("items") or {})
    return escape(str(kind))
