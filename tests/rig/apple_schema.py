"""Holds configuration profiles against Apple's own description (github.com/apple/device-management), where it is present.

    folder = apple_schema.find()               None when it is not here: the test skips
    apple_schema.problems(folder, profile)     what a decoded profile breaks; [] when nothing

POMONA_APPLE_SCHEMA names the folder; else ../shared/data beside the project is looked at.
"""
import datetime
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TYPES = {"<string>": str, "<integer>": int, "<boolean>": bool, "<real>": (int, float), "<data>": bytes, "<date>": datetime.datetime,
         "<array>": list, "<dictionary>": dict, "<any>": object}


def find():
    try:
        import yaml  # noqa: F401
    except ImportError:
        return None
    places = [os.environ.get("POMONA_APPLE_SCHEMA"), ROOT.parent / "shared/data/apple-device-management"]
    for place in places:
        if place and (Path(place) / "mdm/profiles").is_dir():
            return Path(place)
    return None


def load(folder, name):
    import yaml
    with open(folder / "mdm/profiles" / f"{name}.yaml") as file:
        return yaml.safe_load(file)["payloadkeys"]


def check_value(spec, value, where):
    wanted = TYPES[spec["type"]]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return [f"{where} is no {spec['type']}"]
    found = []
    if "rangelist" in spec and value not in spec["rangelist"]:
        found.append(f"{where} = {value} is not one of {spec['rangelist']}")
    limits = spec.get("range", {})
    if "min" in limits and value < limits["min"] or "max" in limits and value > limits["max"]:
        found.append(f"{where} = {value} is outside {limits}")
    if "format" in spec and isinstance(value, str) and not re.search(spec["format"], value):
        found.append(f"{where} = {value} does not match {spec['format']}")
    if isinstance(value, dict) and "subkeys" in spec:
        found += check_keys(spec["subkeys"], value, where)
    if isinstance(value, list) and "subkeys" in spec:
        found += check_items(spec["subkeys"], value, where)
    return found


def check_items(specs, items, where):
    if len(specs) != 1:
        return []
    limits = specs[0].get("repetition", {})
    found = [problem for number, item in enumerate(items) for problem in check_value(specs[0], item, f"{where}[{number}]")]
    if len(items) < limits.get("min", 0) or len(items) > limits.get("max", len(items)):
        found.append(f"{where} has {len(items)} items, {limits} are allowed")
    return found


def check_keys(specs, values, where):
    known = {spec["key"]: spec for spec in specs}
    if "ANY" in known:
        return []
    found = [f"{where} lacks {key}" for key, spec in known.items() if spec.get("presence") == "required" and key not in values]
    for key, value in values.items():
        if key not in known:
            found.append(f"{where} has the unknown key {key}")
        else:
            found += check_value(known[key], value, f"{where}.{key}")
    return found


def problems(folder, profile):
    common, top = load(folder, "CommonPayloadKeys"), load(folder, "TopLevel")
    found = check_keys([s for s in top if s["key"] != "PayloadContent"] + [s for s in common if s["key"] not in
                       {t["key"] for t in top}], {k: v for k, v in profile.items() if k != "PayloadContent"}, "profile")
    for payload in profile["PayloadContent"]:
        kind = payload["PayloadType"]
        own = load(folder, kind)
        names = {spec["key"] for spec in own}
        found += check_keys(own + [spec for spec in common if spec["key"] not in names], payload, kind)
    return found
