#!/usr/bin/python3
"""Holds the two contracts to what they describe.

usage: check.py [--topology build/topology.json]

openapi.yaml: no key twice, every reference leads somewhere, path parameters are declared,
operation ids are unique; with --topology, its calls are exactly the services' routes, and those
that stay open are the ones that answer with text/event-stream.
asyncapi.yaml: every event of souk/*/v1/events.proto has one channel, named as its
subject, and there are no others.
"""
import argparse
import json
import pathlib
import re
import sys

import yaml

PROTO = pathlib.Path(__file__).resolve().parent
METHODS = {"get", "put", "post", "patch", "delete"}
ENTITY = re.compile(r'^message (\w+) \{\n\s*option \(souk\.options\.v1\.entity\) = "(\w+)"', re.M)


class StrictLoader(yaml.SafeLoader):
    """YAML without a key that is there twice."""


def mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.YAMLError(f"{node.start_mark}: {', '.join(twice)} is there twice")
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value)}


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def load(name: str) -> dict:
    return yaml.load((PROTO / name).read_text(), StrictLoader)


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from references(child)


def resolve(document: dict, reference: str):
    """What the reference leads to, None where nowhere."""
    if not reference.startswith("#/"):
        return (PROTO / reference).exists() or None
    node = document
    for part in reference[2:].split("/"):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def dead_references(name: str, document: dict) -> list[str]:
    return [f"{name}: {ref} leads nowhere" for ref in references(document) if resolve(document, ref) is None]


def calls(document: dict):
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield method, path, item.get("parameters", []) + item[method].get("parameters", []), item[method]


def stays_open(document: dict, operation: dict) -> bool:
    answer = operation["responses"].get("200", {})
    answer = resolve(document, answer["$ref"]) if "$ref" in answer else answer
    return "text/event-stream" in answer.get("content", {})


def check_openapi(topology: str | None) -> list[str]:
    document = load("openapi.yaml")
    problems, ids = dead_references("openapi.yaml", document), []
    for method, path, parameters, operation in calls(document):
        resolved = [resolve(document, p["$ref"]) if "$ref" in p else p for p in parameters]
        declared = {p["name"] for p in resolved if p["in"] == "path"}
        if declared != set(re.findall(r"\{(\w+)\}", path)):
            problems.append(f"openapi.yaml: {method} {path}: its path parameters are not those declared")
        ids.append(operation["operationId"])
    problems += [f"openapi.yaml: operationId {i} is there twice" for i in sorted(set(ids)) if ids.count(i) > 1]
    if topology:
        services = json.loads(pathlib.Path(topology).read_text())["services"]
        routes = {(r["method"].lower(), r["path"]) for s in services for r in s.get("routes", [])}
        written = {(method, path) for method, path, *_ in calls(document)}
        problems += [f"openapi.yaml: {m} {p} is a route and not here" for m, p in sorted(routes - written)]
        problems += [f"openapi.yaml: {m} {p} is no service's route" for m, p in sorted(written - routes)]
        live = {(r["method"].lower(), r["path"]) for s in services for r in s.get("routes", []) if "live" in r["flags"]}
        streams = {(m, p) for m, p, _, operation in calls(document) if stays_open(document, operation)}
        problems += [f"openapi.yaml: {m} {p} stays open on one side only" for m, p in sorted(live ^ streams)]
    return problems


def check_asyncapi() -> list[str]:
    document = load("asyncapi.yaml")
    problems = dead_references("asyncapi.yaml", document)
    events = {}
    for path in sorted(PROTO.glob("souk/*/v1/events.proto")):
        for name, entity in ENTITY.findall(path.read_text()):
            events[f"souk.{path.parts[-3]}.v1.{name}"] = (path.parts[-3], entity)
    described = [m["name"] for m in document["components"]["messages"].values()]
    problems += [f"asyncapi.yaml: {name} has no channel" for name in sorted(events.keys() - set(described))]
    problems += [f"asyncapi.yaml: {name} is no event" for name in sorted(set(described) - events.keys())]
    for channel in document["channels"].values():
        (reference,) = (m["$ref"] for m in channel["messages"].values())
        domain, entity = events.get(resolve(document, reference)["name"], ("", ""))
        last = {"sku": "sku_token"}.get(entity, entity)
        if not re.fullmatch(rf"{domain}\.[a-z_]+\.\{{{last}\}}", channel["address"]):
            problems.append(f"asyncapi.yaml: {channel['address']} is no subject of {domain} ending in its {last}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", help="what the services say of themselves, for comparing routes")
    problems = check_openapi(parser.parse_args().topology) + check_asyncapi()
    print("\n".join(problems) or "proto: the contracts hold")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
