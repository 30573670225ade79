"""The part of JSON Schema 2020-12 that the API's description uses. A keyword it doesn't know is a failure,
and so is a member that a schema doesn't name: the description is to be whole."""

import re

KINDS = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
FORMATS = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"),
    "uri": re.compile(r"[a-z][a-z0-9+.-]*://\S+$"),
}
KEYWORDS = {"$ref", "type", "enum", "const", "properties", "required", "additionalProperties", "items", "pattern",
            "format", "minimum", "maximum", "maxLength", "description", "default"}


def resolved(document, node):
    """The node, or what its $ref leads to."""
    while "$ref" in node:
        place = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        node = place
    return node


def complaints(document, schema, value, where="$"):
    """What of the value is otherwise than the schema says."""
    if unknown := set(schema) - KEYWORDS:
        return [f"{where}: unknown keywords {sorted(unknown)}"]
    if "$ref" in schema:
        return complaints(document, resolved(document, schema), value, where)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(KINDS[kind](value) for kind in kinds):
        return [f"{where}: {value!r} is no {' or '.join(kinds)}"]
    wrong = []
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        wrong.append(f"{where}: {value!r} is not {schema['const']!r}")
    if isinstance(value, str):
        wrong += wrong_text(schema, value, where)
    if KINDS["integer"](value):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            wrong.append(f"{where}: {value} is out of range")
    if isinstance(value, list):
        for i, item in enumerate(value):
            wrong += complaints(document, schema.get("items", {}), item, f"{where}[{i}]")
    if isinstance(value, dict):
        wrong += wrong_members(document, schema, value, where)
    return wrong


def wrong_text(schema, value, where):
    wrong = []
    if "pattern" in schema and not re.search(schema["pattern"], value):
        wrong.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if "format" in schema and not FORMATS[schema["format"]].match(value):
        wrong.append(f"{where}: {value!r} is no {schema['format']}")
    if len(value) > schema.get("maxLength", len(value)):
        wrong.append(f"{where}: longer than {schema['maxLength']}")
    return wrong


def wrong_members(document, schema, value, where):
    wrong = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, member in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties", False))
        if known is False:
            wrong.append(f"{where}: {name} is not described")
        elif known is not True:
            wrong += complaints(document, known, member, f"{where}.{name}")
    return wrong
