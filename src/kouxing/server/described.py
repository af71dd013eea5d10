"""The HTTP interface as a page: FastAPI's own fetches its scripts from elsewhere, and this server works offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")


def page(api: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI document: every request with its parameters, the fields of its body, and its answers."""
    told = api["info"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            f"<title>{escape(told['title'])}: HTTP</title>",
            f"<h1>{escape(told['title'])} {escape(told['version'])}: HTTP</h1>",
            f"<p>{escape(told.get('summary', ''))}</p>",
            '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
            *_requests(api),
            "</html>",
        ]
    )


def _requests(api: Mapping[str, Any]) -> Iterator[str]:
    for path, by_method in api["paths"].items():
        for method in METHODS:
            one = by_method.get(method)
            if one is None:
                continue
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(one.get('summary', ''))}</p>"
            fields = [(field["name"], field["in"], field.get("schema", {})) for field in one.get("parameters", ())]
            for kind, content in one.get("requestBody", {}).get("content", {}).items():
                schema = _whole(content.get("schema", {}), api)
                fields += [(name, kind, each) for name, each in schema.get("properties", {"": schema}).items()]
            if fields:
                yield "<ul>"
                for name, place, schema in fields:
                    words = " ".join(filter(None, (_type(schema, api), schema.get("description"))))
                    yield f"<li><code>{escape(name or 'body')}</code> ({escape(place)}): {escape(words)}</li>"
                yield "</ul>"
            answers = (
                f"{code} {answer.get('description', '')}".rstrip(". ") for code, answer in one["responses"].items()
            )
            yield f"<p>Answers: {escape('; '.join(answers))}</p>"


def _whole(schema: Mapping[str, Any], api: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, itself or what it refers to."""
    place = schema.get("$ref")
    return schema if place is None else api["components"]["schemas"][place.rpartition("/")[2]]


def _type(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    schema = _whole(schema, api)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(one, api) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), api)}"
    return str(schema.get("const", schema.get("format", schema.get("type", "any"))))
