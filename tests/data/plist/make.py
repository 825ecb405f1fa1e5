#!/usr/bin/python3
"""Writes the golden property lists of this folder with Python's plistlib, whose form is Apple's.

NAME.plist is what plistlib writes; test_plist.cpp builds the same trees and compares byte by byte.
"""
import datetime
import os
import plistlib

here = os.path.dirname(os.path.abspath(__file__))

TREES = {
    "scalars": {
        "string": "Küche & <Bad> \"x\" 'y' \U0001f34e",
        "empty": "",
        "two lines": "one\ntwo\tthree",
        "zero": 0,
        "negative": -42,
        "largest": 2**63 - 1,
        "smallest": -(2**63),
        "half": 0.5,
        "minus": -1.25,
        "yes": True,
        "no": False,
        "date": datetime.datetime(2027, 3, 1, 10, 0, 0),
        "distant past": datetime.datetime(1, 1, 1, 0, 0, 0),
        "distant future": datetime.datetime(4001, 1, 1, 0, 0, 0),
    },
    "containers": {
        "empty dict": {},
        "empty array": [],
        "mixed": [1, "two", [3, []], {"four": 4}],
        "a & b": {"<key>": "value"},
    },
    "data": {
        "none": b"",
        "one": b"\x00",
        "line": bytes(range(51)),
        "more": bytes(range(256)),
        "deep": [[[[[[[[[bytes(range(64))]]]]]]]]],
    },
    "array_root": ["a", "b"],
    "string_root": "alone",
}

for name, tree in TREES.items():
    with open(os.path.join(here, name + ".plist"), "wb") as out:
        plistlib.dump(tree, out, sort_keys=False)
