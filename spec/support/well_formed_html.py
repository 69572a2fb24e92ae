"""well_formed_html.py -- reads an HTML document on standard input and prints what is wrong with it, a line each:
tags that are not closed or crossed, ids twice, links to ids that are not there, anything that would
be loaded from elsewhere, scripts. Behind "id" it prints every id."""
import html.parser
import re
import sys

VOID = {"meta", "br", "hr", "img", "input", "link"}
INSIDE = {"li": {"ul", "ol"}, "dt": {"dl"}, "dd": {"dl"}}
INLINE = {"p", "h1", "h2", "h3", "h4", "h5", "dt", "code", "span", "a", "summary"}
BLOCK = {"p", "pre", "ul", "dl", "h1", "h2", "h3", "h4", "h5", "section", "main", "nav", "details"}


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.open, self.ids, self.links, self.faults = [], [], [], []

    def fault(self, text):
        self.faults.append("%d:%d: %s" % (*self.getpos(), text))

    def handle_starttag(self, tag, attributes):
        parent = self.open[-1] if self.open else None
        if tag in INSIDE and parent not in INSIDE[tag]:
            self.fault("<%s> within <%s>" % (tag, parent))
        if tag in BLOCK and parent in INLINE - {"summary"}:
            self.fault("<%s> within <%s>" % (tag, parent))
        if tag in ("script", "link", "img", "iframe", "object"):
            self.fault("<%s>: the page would not stand alone" % tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name == "href":
                self.links.append(value)
            elif name == "src" or name.startswith("on"):
                self.fault("%s=" % name)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.fault("</%s> closes <%s>" % (tag, self.open[-1] if self.open else "nothing"))
        elif self.open:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            if re.search(r"url\(|@import", data):
                self.fault("the style loads something")
        elif "<" in data or ">" in data or "&" in data:
            self.fault("a bare <, > or &: %r" % data[:40])


reader = Reader()
text = sys.stdin.buffer.read().decode("utf-8", "strict")
reader.feed(text)
reader.close()
if reader.open:
    reader.fault("not closed: %s" % reader.open)
for name in sorted({name for name in reader.ids if reader.ids.count(name) > 1}):
    reader.fault("the id %s is there twice" % name)
for link in reader.links:
    if not link.startswith("#"):
        reader.fault("a link to elsewhere: %s" % link)
    elif link[1:] not in reader.ids:
        reader.fault("a link to nothing: %s" % link)
print("\n".join(reader.faults + ["id " + name for name in reader.ids]))
