"""Writes a folder of JSON Schemas for kubeconform, without asking anyone.

    schemas.py KUBERNETES CRDS OUT

KUBERNETES is the folder of one version in the package kubernetes-validate, CRDS a folder of custom resource
definitions. Files are named as kubeconform's template {{.ResourceKind}}{{.KindSuffix}}.json asks.
"""

import json
import pathlib
import sys

import yaml

# How the package's schemas name the file of definitions beside them: by an address, as they do themselves.
SHIPPED, BESIDE = '"/api/_definitions.json#', '"_definitions.json#'


def strict(schema):
    """Refuses fields that a custom resource's schema does not name, as the API server's strict mode does."""
    if isinstance(schema, dict):
        open_to_all = schema.get("x-kubernetes-preserve-unknown-fields", False)
        if "properties" in schema and not open_to_all:
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)


def main(kubernetes, crds, out):
    out.mkdir(parents=True, exist_ok=True)
    for file in kubernetes.glob("*.json"):
        schema = json.loads(file.read_text().replace(SHIPPED, BESIDE))
        # With it, a reference would be looked up at that address.
        schema.pop("$id", None)
        (out / file.name).write_text(json.dumps(schema))
    for file in crds.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        group = spec["group"].split(".")[0]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            strict(schema)
            # A definition says no more of it than this; the API server knows.
            schema["properties"]["metadata"] = {"type": "object"}
            name = f"{spec['names']['kind'].lower()}-{group}-{version['name']}.json"
            (out / name).write_text(json.dumps(schema))


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:4]))
