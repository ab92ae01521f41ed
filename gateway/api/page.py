"""An OpenAPI description as one HTML page that needs no script: calls, fields, answers."""

from __future__ import annotations

import re
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:#8884}body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;
padding:0 1rem}section{border-top:1px solid var(--line);margin-top:2rem}h2{font-size:1.1rem;overflow-wrap:anywhere}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}b{display:inline-block;min-width:3.5rem}
table{border-collapse:collapse;width:100%;table-layout:fixed}td{padding:.3rem .5rem .3rem 0;border-top:1px solid
var(--line);vertical-align:top}td:first-child{width:34%}small{opacity:.75}
"""
_REFUSAL = 400


def render(schema: dict[str, Any]) -> str:
    """The whole page."""
    info = schema["info"]
    parts = [
        f"<h1>{escape(info['title'])} API {escape(str(info['version']))}</h1>",
        f"<p>{_text(info['description'])} <a href='/openapi.json'>openapi.json</a></p>",
        "<p>Credentials: <code>X-Api-Key</code> and <code>X-Api-Secret</code>, or HTTP Basic with the two.</p>",
    ]
    refusals: dict[str, str] = {}
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            told = operation.get("description") or operation.get("summary") or ""
            parts += [
                f"<section><h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2><p>{_text(told)}</p>",
                _table(_fields(schema, operation)),
                _answers(operation, refusals),
                "</section>",
            ]
    parts += [
        "<section><h2>Refusals</h2>",
        _table(sorted(refusals.items())),
        "</section>",
    ]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style><main>{''.join(parts)}</main></html>"
    )


def _fields(schema: dict[str, Any], operation: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for parameter in operation.get("parameters", []):
        needed = ", required" if parameter.get("required") else ""
        told = _told(schema, parameter.get("schema", {}), parameter.get("description"))
        rows.append((parameter["name"], f"{parameter['in']}{needed}: {told}"))
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    body = _resolve(schema, content)
    for name, field in body.get("properties", {}).items():
        needed = ", required" if name in body.get("required", []) else ""
        rows.append((name, f"body{needed}: {_told(schema, field, field.get('description'))}"))
    return rows


def _told(schema: dict[str, Any], field: dict[str, Any], description: str | None) -> str:
    kind = _kind(schema, field)
    return f"{kind}. {description}" if description else kind


def _kind(schema: dict[str, Any], field: dict[str, Any]) -> str:
    """A type in words: `string`, `upi | card`, `object {number, cvv}`."""
    field = _resolve(schema, field)
    if choices := field.get("oneOf") or field.get("anyOf"):
        kinds = [_kind(schema, one) for one in choices if one.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    if values := field.get("enum"):
        return " | ".join(str(value) for value in values if value is not None)
    kind = field.get("type", "object")
    if isinstance(kind, list):
        kind = " | ".join(one for one in kind if one != "null")
    if properties := field.get("properties"):
        return f"{kind} {{{', '.join(properties)}}}"
    return str(kind)


def _resolve(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref")
    return schema["components"]["schemas"][reference.rsplit("/", 1)[1]] if reference else field


def _answers(operation: dict[str, Any], refusals: dict[str, str]) -> str:
    """What success answers, and the status codes of refusals; those are explained once, at the end."""
    good, bad = [], []
    for code, answer in sorted(operation["responses"].items()):
        if int(code) < _REFUSAL:
            good.append(f"<code>{code}</code>")
        else:
            bad.append(code)
            refusals[code] = answer.get("description", "")
    refused = f" <small>or {', '.join(bad)}</small>" if bad else ""
    return f"<p>Answers {' '.join(good)}{refused}</p>"


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{_text(told)}</td></tr>" for name, told in rows)
    return f"<table>{cells}</table>" if cells else ""


def _text(text: str) -> str:
    """Plain text, where back quotes mean code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
