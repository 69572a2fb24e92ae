# readers.py -- a file as another program's reader has it, as JSON on standard output.
#   readers.py json|yaml|toml|ini FILE
#   readers.py toml-verdicts FILE    of a list of texts in JSON, in base64: which tomllib accepts
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


def accepts(text):
    import tomllib

    try:
        tomllib.loads(text.decode())
        return True
    except ValueError:
        return False


def verdicts(path):
    import base64

    with open(path, encoding="utf-8") as file:
        return [accepts(base64.b64decode(text)) for text in json.load(file)]


kind, path = sys.argv[1:]
json.dump(verdicts(path) if kind == "toml-verdicts" else read(kind, path), sys.stdout)
