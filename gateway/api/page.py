"""An OpenAPI description as one HTML page that needs no script: calls by resource, their fields and answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from typing import Any

Json = dict[str, Any]

TAGS = ("Orders", "Payments", "Refunds", "Webhooks", "Webhook endpoints", "Events", "API keys", "Service")
"""The resources, in the order in which an integration meets them."""

_STYLE = """
:root{color-scheme:light dark;--line:#8883;--soft:#8881;--get:#1668b8;--post:#18794e;--put:#9a5b00;--delete:#b3261e}
@media(prefers-color-scheme:dark){:root{--get:#7cbcff;--post:#6fd3a4;--put:#f0b866;--delete:#ff9a92}}
*{box-sizing:border-box}body{font:16px/1.55 system-ui,sans-serif;margin:0}
main{max-width:52rem;margin:0 auto;padding:1.5rem 1rem 6rem}h1{margin:0 0 .5rem}
.wide{display:none}
nav{padding:1rem;border-bottom:1px solid var(--line);font-size:.9rem}nav summary{font-weight:600;cursor:pointer}
nav h2{font-size:.75rem;text-transform:uppercase;letter-spacing:.06em;opacity:.7;margin:1.1rem 0 .2rem}
nav a{display:block;color:inherit;text-decoration:none;padding:.15rem 0}nav a:hover{text-decoration:underline}
main>h2{margin:3rem 0 0;font-size:1.5rem}
section{border-top:1px solid var(--line);padding:1.4rem 0;scroll-margin-top:1rem}
h3{margin:0;font-size:1.1rem}.call{margin:.25rem 0 .6rem;overflow-wrap:anywhere}
code,pre{font:.875em/1.5 ui-monospace,monospace}code{overflow-wrap:anywhere}
b{font:600 .8rem ui-monospace,monospace;margin-right:.5rem}
.get{color:var(--get)}.post{color:var(--post)}.put,.patch{color:var(--put)}.delete{color:var(--delete)}
pre{background:var(--soft);padding:.8rem;border-radius:.4rem;overflow-x:auto;margin:.4rem 0 1rem}
table{border-collapse:collapse;width:100%;margin:.4rem 0 1rem}
td{padding:.4rem .8rem .4rem 0;border-top:1px solid var(--line);vertical-align:top}
td:first-child{width:34%;overflow-wrap:anywhere}td small{display:block}small{opacity:.75}
details summary{cursor:pointer;margin:.2rem 0}p{margin:.4rem 0 .8rem}
@media(min-width:70rem){body{display:grid;grid-template-columns:17rem 1fr}
nav{position:sticky;top:0;height:100vh;overflow-y:auto;border:0;border-right:1px solid var(--line)}
.wide{display:block}.narrow{display:none}}
"""
CSP = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
"""What the page needs: its one style, known by its hash."""

_OF_ALL = (
    "Credentials: `X-Api-Key` and `X-Api-Secret`, or HTTP Basic with the two. Each POST takes an `Idempotency-Key`: the"
    " same key and body within 24 hours get the same answer."
)
_REFUSAL = 400
_MANY = 12  # values of a choice, past which they are counted rather than listed


def render(schema: Json) -> str:
    """The whole page."""
    info = schema["info"]
    groups: dict[str, list[tuple[str, str, Json]]] = {tag: [] for tag in TAGS}
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append((method, path, operation))
    refusals: dict[str, str] = {}
    body = [
        f"<h1>{escape(info['title'])} API <small>{escape(str(info['version']))}</small></h1>",
        f"<p>{_text(info['description'])} For machines: <a href='/openapi.json'>openapi.json</a>.</p>",
        f"<p>{_text(_OF_ALL)}</p>",
    ]
    for tag, calls in groups.items():
        body += [f"<h2>{escape(tag)}</h2>", *(_call(schema, *call, refusals) for call in calls)]
    body += ["<section id='refusals'><h2>Refusals</h2>", _table(sorted(refusals.items())), "</section>"]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>{_contents(groups)}"
        f"<main>{''.join(body)}</main></html>"
    )


def _contents(groups: dict[str, list[tuple[str, str, Json]]]) -> str:
    links = "".join(
        f"<h2>{escape(tag)}</h2>"
        + "".join(f"<a href='#{call['operationId']}'>{escape(call['summary'])}</a>" for _, _, call in calls)
        for tag, calls in groups.items()
    )
    # Without a script a `details` cannot be open on wide screens alone: one list for each, of which one shows.
    return (
        f"<nav aria-label='Calls' class='wide'>{links}</nav>"
        f"<nav aria-label='Calls' class='narrow'><details><summary>Calls</summary>{links}</details></nav>"
    )


def _call(schema: Json, method: str, path: str, operation: Json, refusals: dict[str, str]) -> str:
    told = operation.get("description") or ""
    return "".join(
        [
            f"<section id='{operation['operationId']}'><h3>{escape(operation['summary'])}</h3>",
            f"<p class='call'><b class='{method}'>{method.upper()}</b><code>{escape(path)}</code></p>",
            f"<p>{_text(told)}</p>",
            _table(_fields(schema, operation)),
            _examples(operation),
            _answers(schema, operation, refusals),
            "</section>",
        ]
    )


def _fields(schema: Json, operation: Json) -> list[tuple[str, str]]:
    rows = []
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key":
            continue  # told once, at the top
        needed = ", required" if parameter.get("required") else ""
        told = _told(schema, parameter.get("schema", {}), parameter.get("description"))
        rows.append((parameter["name"], f"{parameter['in']}{needed}: {told}"))
    body = _resolve(schema, _json(operation.get("requestBody", {})).get("schema", {}))
    return rows + _properties(schema, body, "body")


def _properties(schema: Json, shape: Json, where: str) -> list[tuple[str, str]]:
    rows = []
    for name, field in shape.get("properties", {}).items():
        needed = ", required" if where == "body" and name in shape.get("required", []) else ""
        told = _told(schema, field, field.get("description"))
        rows.append((name, f"{where}{needed}: {told}" if where else told))
    return rows


def _told(schema: Json, field: Json, description: str | None) -> str:
    kind = _kind(schema, field)
    return f"{kind}. {description}" if description else kind


def _kind(schema: Json, field: Json) -> str:
    """A type in words: `string`, `upi | card`, `object {number, cvv}`."""
    field = _resolve(schema, field)
    if choices := field.get("oneOf") or field.get("anyOf"):
        kinds = [_kind(schema, one) for one in choices if one.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    if values := field.get("enum"):
        if len(values) > _MANY:
            return f"one of {len(values)} codes"
        return " | ".join(str(value) for value in values if value is not None)
    kind = field.get("type", "object")
    if isinstance(kind, list):
        kind = " | ".join(one for one in kind if one != "null")
    if kind == "array":
        return f"list of {_kind(schema, field.get('items', {}))}"
    if properties := field.get("properties"):
        return f"{kind} {{{', '.join(properties)}}}"
    bounds = [str(field[one]) for one in ("minimum", "maximum") if one in field]
    return f"{kind} {' to '.join(bounds)}" if len(bounds) > 1 else str(kind)


def _resolve(schema: Json, field: Json) -> Json:
    reference = field.get("$ref")
    return schema["components"]["schemas"][reference.rsplit("/", 1)[1]] if reference else field


def _json(holder: Json) -> Json:
    found: Json = holder.get("content", {}).get("application/json", {})
    return found


def _examples(operation: Json) -> str:
    given = _json(operation.get("requestBody", {})).get("examples", {})
    return "".join(
        f"<small>Example: {escape(name.replace('_', ' '))}</small><pre>{_pretty(example['value'])}</pre>"
        for name, example in given.items()
    )


def _answers(schema: Json, operation: Json, refusals: dict[str, str]) -> str:
    """What success answers, and the status codes of refusals; those are explained once, at the end."""
    bad, told = [], ""
    for code, answer in sorted(operation["responses"].items()):
        if int(code) >= _REFUSAL:
            bad.append(f"<a href='#refusals'>{code}</a>")
            refusals[code] = answer.get("description", "")
            continue
        content = _json(answer)
        fields = _table(_properties(schema, _resolve(schema, content.get("schema", {})), ""))
        example = f"<pre>{_pretty(content['example'])}</pre>" if "example" in content else ""
        title = f"Answers <code>{code}</code>"
        told += f"<details><summary>{title}</summary>{example}{fields}</details>" if fields else f"<p>{title}</p>"
    return told + (f"<p><small>or {', '.join(bad)}</small></p>" if bad else "")


def _pretty(value: object) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{_text(told)}</td></tr>" for name, told in rows)
    return f"<table>{cells}</table>" if cells else ""


def _text(text: str) -> str:
    """Plain text, where back quotes mean code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
