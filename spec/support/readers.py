# readers.py -- a file as another program's reader has it, as JSON on standard output.
#   readers.py json|yaml|toml|ini FILE
import configparser
import json
import sys


def read(kind, path):
    if kind == "toml":
        import tomllib

        with open(path, "rb") as file:
            return tomllib.load(file)
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    if kind == "json":
        return json.loads(text)
    if kind == "yaml":
        import yaml

        return yaml.safe_load(text)
    parser = configparser.RawConfigParser(delimiters=("=",), strict=True)
    parser.optionxform = str
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


json.dump(read(sys.argv[1], sys.argv[2]), sys.stdout)
