"""Checks answers against proto/openapi.yaml: the status is documented for the call, and the
body fits its schema (JSON Schema 2020-12, which OpenAPI 3.1 uses as it is)."""
import functools
import pathlib
import re

import jsonschema
import yaml

# What `default` may stand for; every other status is documented by itself.
BY_DEFAULT = {400, 403, 413, 429, 500, 502, 503}
PATH = pathlib.Path(__file__).resolve().parents[2] / "proto" / "openapi.yaml"


@functools.lru_cache(maxsize=1)
def document() -> dict:
    return yaml.safe_load(PATH.read_text())


def _pattern(template: str) -> re.Pattern:
    return re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", template) + "$")


def operation(method: str, path: str) -> dict:
    """The operation of a call; templates without parameters win."""
    found = [(template.count("{"), item) for template, item in document()["paths"].items()
             if _pattern(template).match(path)]
    for _, item in sorted(found, key=lambda pair: pair[0]):
        if method.lower() in item:
            return item[method.lower()]
    raise AssertionError(f"{method} {path} is not in openapi.yaml")


def _resolve(node: dict) -> dict:
    while "$ref" in node:
        target = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def check(method: str, path: str, status: int, content_type: str, body) -> None:
    """AssertionError where the answer is not what the contract says."""
    responses = operation(method, path)["responses"]
    response = responses.get(str(status)) or (responses.get("default") if status in BY_DEFAULT else None)
    assert response is not None, f"{method} {path}: status {status} is not documented"
    content = _resolve(response).get("content", {})
    kind = content_type.split(";")[0].strip()
    if not content:
        assert body in (None, "", b""), f"{method} {path} {status}: a body that is not documented"
        return
    assert kind in content, f"{method} {path} {status}: {kind or 'no content type'} is not documented"
    schema = content[kind].get("schema")
    if schema is None or "json" not in kind:
        return
    resolver = jsonschema.RefResolver(base_uri="", referrer=document())
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver,
                                                format_checker=jsonschema.FormatChecker())
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(body)]
    assert not errors, f"{method} {path} {status}: {errors}"
