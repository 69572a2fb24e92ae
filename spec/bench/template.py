# template.py -- what spec/bench/template.lua measures, done by Jinja2: prints renders per second.
#   template.py env|bare|haproxy SECONDS
import re
import sys
import time

import jinja2

BARE = re.compile(r"[\w@%+:,./=-]*\Z")
ESCAPED = re.compile(r'(["\\$`])')
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def quote(value):
    """The same quoting as the filter env: bare if sh and systemd take it so."""
    text = value if isinstance(value, str) else str(value)
    if BARE.match(text):
        return text
    if CONTROL.search(text):
        raise ValueError("a control character")
    return '"' + ESCAPED.sub(r"\\\1", text) + '"'


def env_scope():
    names = ["V%d" % i for i in range(1, 101)]
    values = ["https://host.example:3000/path", "did:plc:abcdefghijkl", "two words", 'a "b" $c', "plain"]
    return names, {name: values[i % 5] for i, name in enumerate(names)}


HAPROXY = """frontend fe
  bind :80
backend be
  balance roundrobin
{% for i in instances %}  server {{ i.id }} {{ i.address }}:{{ i.port }} check
{% endfor %}"""


def main():
    kind, seconds = sys.argv[1], float(sys.argv[2])
    env = jinja2.Environment(keep_trailing_newline=True)
    env.filters["env"] = quote
    names, scope = env_scope()
    if kind == "haproxy":
        text = HAPROXY
        scope = {"instances": [{"id": "pds-%d" % i, "address": "10.0.%d.%d" % (i // 256, i % 256), "port": 3000 + i % 100}
                               for i in range(10000)]}
    else:
        pipe = " | env" if kind == "env" else ""
        text = "".join("%s={{ %s%s }}\n" % (name, name, pipe) for name in names)
    began = time.process_time()
    template = env.from_string(text)
    compiled = time.process_time() - began
    size = len(template.render(scope).encode())
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(1 if kind == "haproxy" else 100):
            template.render(scope)
            count += 1
    print(count / (time.process_time() - began), size, compiled * 1000)


main()
