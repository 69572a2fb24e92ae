"""Reads {"schema": S, "documents": [D...]}; prints, for each document, [] or its problems."""
import json
import sys

from jsonschema import Draft7Validator

given = json.load(sys.stdin)
Draft7Validator.check_schema(given["schema"])
validator = Draft7Validator(given["schema"])
answer = []
for document in given["documents"]:
    answer.append(["/".join(map(str, e.absolute_path)) + ": " + e.message[:200]
                   for e in validator.iter_errors(document)])
json.dump(answer, sys.stdout)
