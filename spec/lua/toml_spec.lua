-- What TOML 1.0 refuses, sample by sample, and what Python's tomllib says of each.
require "support"

local readers = require "support.readers"
local read = require "orrery.toml"

local INVALID = {
  -- tables that are opened again
  "[a]\nb = 1\n[a]\nc = 2", "[a]\n[b]\n[a]", "a.b = 1\n[a]", "[f]\na.b = 1\n[f.a]", "a = 1\n[a]",
  "[f]\na.b.c = 1\n[f.a.b]", "[a.b]\nx = 1\n[a]\nb.y = 2", "[a.b.c]\nz = 9\n[a]\nb.c.t = 1",
  "[a.b.c.d]\nz = 9\n[a]\nb.c.d.k.t = 1", "[[a]]\n[a]", "[a]\n[[a]]", "a = []\n[[a]]",
  "a = [{b = 1}]\n[[a]]", "a = {b = 1}\n[a]", "a = {b = 1}\n[a.c]", "a = {b = 1}\na.c = 2",
  "a.b = 1\na = 2", "a = 1\na.b = 2", "[a]\nb.c = 1\nb = 2", "[[a.b]]\n[a]\nb.y = 2",
  "[a]\nb = 1\n[a.b]", "a = {b.c = 1, b = 2}", "a = {b = 1, b.c = 2}", "a = {b = {c = 1}, b.d = 2}",
  "[[a]]\n[a.b]\n[a.b]", "a.b.c = 1\n[x]\n[a.b]", "a = 1\na = 1", '"a" = 1\na = 1',
    "a = 1\n'a' = 2",
  "[a]\n['a']", "[[a]]\nb.c = 1\n[a.b]", "[[a]]\n[[a.b]]\n[a.b]",
  -- headings and keys
  "[]", "[a", "[a]]", "[[a]", "[[a] ]", "[ [a]]", "[a.]", "[.a]", "[a..b]", "[a] b = 1", "[a b]",
  "= 1", "a = ", "a", "a b = 1", "a. = 1", ".a = 1", 'a"b" = 1', "a = 1 b = 2", "é = 1", "a\n= 1",
  "[a]\n[b]c", '"""a""" = 1', "a = 1, b = 2", "a==1", "\\u0061 = 1", '"a\nb" = 1', "a#b = 1",
  -- strings
  'a = "x', 'a = "x\ny"', "a = 'x", "a = 'x\ny'", 'a = "\\q"', 'a = "\\x41"', 'a = "\\u12"',
  'a = "\\ud800"', 'a = "\\U00110000"', 'a = "\0"', 'a = "\127"', "a = '\1'", 'a = """x',
    "a = '''x",
  'a = """a""""""', "a = '''a''''''", 'a = """\\q"""', 'a = """\\ x"""', 'a = """\r"""',
  'a = "a\rb"', "a = 'x'y", 'a = "x" "y"', 'a = \'\'\'\1\'\'\'', 'a = x', "a = 'it's'",
  -- numbers, dates, words
  "a = 01", "a = -01", "a = +01", "a = 1_", "a = _1", "a = 1__0", "a = 1.", "a = .1", "a = 1.e1",
  "a = 1._0", "a = 1_.0", "a = 1e", "a = 1e_1", "a = 1e1_", "a = 1e1.0", "a = 0x", "a = 0xg",
  "a = 0x_1", "a = 0x1_", "a = 0X1", "a = +0x1", "a = -0b1", "a = 0o8", "a = 0b2", "a = 03.1",
  "a = 1.2.3", "a = --1", "a = 1e1e1", "a = Inf", "a = NaN", "a = infinity", "a = True", "a = TRUE",
  "a = t", "a = 1979-13-01", "a = 1979-02-29", "a = 1979-00-01", "a = 1979-01-00", "a = 1979-1-01",
  "a = 1979-01-32", "a = 24:00:00", "a = 07:60:00", "a = 07:32", "a = 7:32:00", "a = 07:32:61",
  "a = 1979-05-27T", "a = 1979-05-27T07:32", "a = 1979-05-27T07:32:00+25:00", "a = 07:32:00.",
  "a = 1979-05-27T07:32:00+01:60", "a = 1979-05-27T07:32:00.", "a = 1979-05-27  07:32:00",
  "a = 1979-05-27X07:32:00", "a = 79-05-27", "a = 2000-02-30", "a = 1900-02-29",
  -- arrays and inline tables
  "a = [1", "a = [1,,2]", "a = [,1]", "a = 1]", "a = [1 2]", "a = {b = 1,}", "a = {b = 1",
    "a = {,}",
  "a = {b}", "a = {b = 1 c = 2}", "a = {\nb = 1}", "a = {b = 1,\nc = 2}", "a = {b = 1\n}",
    "a = {b =}",
  "a = {b = 1, b = 2}", "a = [}", "a = {]", "a = [1]]", "a = {} b",
  -- the rest
  "# \1", "a = 1 # \127", "a = 1\r", "\r", "a = 1 \r b = 2", "# a\rb", "a = \255", "\u{feff}a b",
}

local VALID = {
  "[fruit]\napple.color = 1\napple.taste.sweet = true\n[fruit.apple.texture]\nsmooth = true",
  "[a.b.c]\n[a]\nx = 1", "[a.b]\n[a.c]\n[a]", "a.b = 1\na.c = 2",
    "[[a]]\n[[a]]\n[a.b]\n[[a]]\n[a.b]",
  "[x.y.z.w]\n[x]", "a = {b.c = 1, b.d = 2}", "[ a . 'b' . \"c\" ]", "'' = 1",
    "a = [\n1, # x\n\n2,\n]",
  "[a.b.c]\n[a]\nb.x = 1", "1.2 = 3", "3 = 1", "a = +0.0", "a = -0", "a = 0xdead_beef",
    "a = 1_0.0_1e+0_1",
  "a = 2000-02-29", "a = 1979-05-27 07:32:00.123Z", "a = 1979-05-27t07:32:00z", "a = 07:32:00.5",
  "a = 1979-05-27T07:32:00-08:00", 'a = """\n"" \\\n   x"""', 'a = """a"""""', "a = ''''b'''",
  "a = []", "a = {}", "", "\n\n", "# only", "a = 1\r\nb = 2\r\n", "a = 9223372036854775807",
  "a = -9223372036854775808", "a = 0x7fffffffffffffff", "a = '''\r\nx'''",
    "[[a.b]]\n[[a.b]]\n[a.c]",
}

describe("toml", function()
  it("refuses each invalid sample, with a sentence and a line in it", function()
    for _, text in ipairs(INVALID) do
      local value, message, line = read(text)
      assert.is_nil(value, ("it was accepted: %q"):format(text))
      assert.is_string(message)
      assert.is_true(line >= 1 and line <= 1 + select(2, text:gsub("\n", "")), text)
    end
  end)

  it("accepts each valid one", function()
    for _, text in ipairs(VALID) do
      local value, message = read(text)
      assert(value, ("%q: %s"):format(text, tostring(message)))
    end
  end)

  it("refuses and accepts them as Python's tomllib does", function()
    local verdicts = readers.toml_verdicts(VALID)
    for i, text in ipairs(VALID) do assert.is_true(verdicts[i], text) end
    verdicts = readers.toml_verdicts(INVALID)
    for i, text in ipairs(INVALID) do assert.is_false(verdicts[i], text) end
  end)

  it("refuses whole numbers of more than 64 bits", function()
    for _, text in ipairs {"a = 9223372036854775808", "a = -9223372036854775809",
      "a = 0x8000000000000000", "a = 0xffffffffffffffffff", "a = 99999999999999999999"} do
      assert.matches("more than 64 bits", select(2, read(text)))
    end
  end)
end)
