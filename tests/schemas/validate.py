#!/usr/bin/python3
"""validate.py SCHEMAS DOCUMENTS: whether each document is what its schema says, and the other way round.

DOCUMENTS has a folder for each schema, with documents. What is wrong is printed, a line each: schemas that are none,
documents that are otherwise, and arrays and members of which no document has anything: nothing is known of those.
"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator, SchemaError


def resolve(schema, root, place):
    """What a reference leads to, which is a place of its own; with null beside it, without that."""
    while True:
        if "$ref" in schema:
            place = schema["$ref"].removeprefix("#/$defs/")
            schema = root["$defs"][place]
        elif "anyOf" in schema:
            schema = schema["anyOf"][0]
        else:
            return schema, place


def places(schema, root, place):
    """Every member and every array in it, but for warnings."""
    schema, place = resolve(schema, root, place)
    for name, member in schema.get("properties", {}).items():
        if name != "warnings":
            yield f"{place}/{name}"
            yield from places(member, root, f"{place}/{name}")
    if "items" in schema:
        yield f"{place}/[]"
        yield from places(schema["items"], root, f"{place}/[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield f"{place}/*"
        yield from places(schema["additionalProperties"], root, f"{place}/*")


def filled(value, schema, root, place):
    """Those of which this document has something."""
    schema, place = resolve(schema, root, place)
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield f"{place}/[]"
            yield from filled(item, schema["items"], root, f"{place}/[]")
    elif isinstance(value, dict):
        named = schema.get("properties", {})
        for name, member in value.items():
            inner = name if name in named else "*"
            below = named.get(name, schema.get("additionalProperties"))
            if member is not None and isinstance(below, dict):
                yield f"{place}/{inner}"
                yield from filled(member, below, root, f"{place}/{inner}")


def main(schemas, documents):
    known, seen, shared = {}, set(), {}
    for file in sorted(pathlib.Path(schemas).iterdir()):
        schema = json.loads(file.read_text())
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            print(f"{file.name} is no schema: {error.message}")
            continue
        for name, definition in schema.get("$defs", {}).items():
            if shared.setdefault(name, definition) != definition:
                print(f"{file.name}: {name} is another thing elsewhere")
        validator = Draft202012Validator(schema)
        known.update(dict.fromkeys(places(schema, schema, file.stem)))
        for path in sorted((pathlib.Path(documents) / file.stem).glob("*.json")):
            document = json.loads(path.read_text())
            seen.update(filled(document, schema, schema, file.stem))
            for error in validator.iter_errors(document):
                print(f"{file.name}: {path.stem}: {error.json_path}: {error.message[:300]}")
    for place in known:
        if place not in seen:
            print(f"nothing in {place}")


if __name__ == "__main__":
    main(*sys.argv[1:])
