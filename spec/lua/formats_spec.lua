local support = require "support"

local core = require "orrery.core"
local formats = require "orrery.formats"
local json = core.json

local function format(name) return assert(formats.get(name)) end

-- Strings that some format takes for something else, or for more than one value.
local STRINGS = {
  "", " ", "a", "a b", " a", "a ", "a\tb", "a\nb", "\n", "a\n", "a\nKEY=evil", 'a"b', "a'b", "'a'",
    '"a"',
  "a\\b", "a\\", "\\n", "a$b", "${x}", "$(id)", "`id`", "a#b", "# a", "a #b", ";a", "a;b", "a=b",
    "=", "a:b",
  "a: b", ":", "- a", "[a]", "{a}", "{a: b}", "&a", "*a", "!a", "|", ">", "%a", "@a", "a&b", "a|b",
    "a>b",
  "(a)", "~", "~/a", "a:~", "a*", "?", "!x", "yes", "no", "on", "true", "null", "NULL", "~", "0",
    "01",
  "0640", "0x1f", "1e3", "1.0", ".5", "12345678901234567890123", "2024-01-01",
    "2024-01-01T00:00:00Z",
  "12:30:45", "1:30", "é", "日本語", "\u{1F600}", "did:plc:abc",
    "postgresql://u:p%40@h:5432/d?x=y&z=1",
  "]]", "--", "*/", "'\\''", "a''b", '"""', "'''", "%{ if x }", "$${x}", "a\\\nb",
}

local CONTROLS = {"a\rb", "\27[31m", "\0", "a\127b", "\1"}

describe("formats", function()
  it("are found by name, and unknown ones are refused with a suggestion", function()
    local found, message = formats.get("jsn")
    assert.is_nil(found)
    assert.are.equal([[there is no format 'jsn'; did you mean "json"?]], message)
    assert.are.equal("yaml", formats.of_path("/a/b.yml"))
    assert.is_nil(formats.of_path("Caddyfile"))
  end)

  for _, name in ipairs {"env", "json", "yaml", "toml", "ini"} do
    it(name .. " reads every string as it wrote it", function()
      local map = {}
      for i, text in ipairs(STRINGS) do map["K" .. i] = text end
      local written = assert(format(name).write(map))
      assert.are.same(map, assert(format(name).read(written)))
    end)

    it(name .. " fails with a message and a line, and never raises", function()
      for _, text in ipairs {"\0", "{", "[", "a = '", 'a = "', "\255", "a: b: c", "[[", "]",
        "a\n= = =\n\"",
                             ("["):rep(10000), ("{"):rep(10000), "a = " .. ("["):rep(10000)} do
        local ok, value, message, line = pcall(format(name).read, text)
        assert(ok, tostring(value))
        if value == nil then
          assert.is_string(message)
          assert.is_true(math.type(line) == "integer" and line >= 1, name)
        end
      end
    end)

    it(name .. " reads damaged text without raising", function()
      local map = {a = "x\"y", b = "1 # 2", c = "n\nl", d = "[t]"}
      local text, state = assert(format(name).write(map)), 7
      for _ = 1, 2000 do
        state = (state * 1103515245 + 12345) & 0x7fffffff
        local at, byte = state >> 8 & 0xffff, string.char(state & 0x7f)
        at = at % #text + 1
        local ok, problem = pcall(format(name).read, text:sub(1,
          at - 1) .. byte .. text:sub(at + 1))
        assert(ok, tostring(problem))
      end
    end)
  end

  it("write booleans as true and false, in each", function()
    assert.are.equal("A=true\nB=false\n", format("env").write {A = true, B = false})
    assert.are.equal("a = true\nb = false\n", format("toml").write {a = true, b = false})
    assert.are.equal("a = true\nb = false\n", format("ini").write {a = true, b = false})
    assert.are.equal("a: true\nb: false\n", format("yaml").write {a = true, b = false})
    assert.are.equal('{\n  "a": true,\n  "b": false\n}\n', format("json").write {a = true,
      b = false})
  end)

  for _, name in ipairs {"json", "yaml", "toml"} do
    it(name .. " reads maps, lists and numbers as it wrote them", function()
      local value = {n = 3, f = 2.5, t = true, l = json.array {1, "two", json.array {3}},
                     m = {deep = {x = "y", z = json.array {{a = 1}, {b = "c d"}}}, ["odd key"] = 1},
                     big = 9007199254740993, neg = -5, none = json.array {}}
      assert.are.same(value, assert(format(name).read(assert(format(name).write(value)))))
    end)
  end
end)

describe("env", function()
  local env = format "env"

  local OF_SH = {PWD = true, OLDPWD = true, SHLVL = true, _ = true}

  -- What sh makes of a file: the variables it sets.
  local function sourced(text)
    local path = support.write(support.tmp() .. "/file.env", text)
    local pipe = assert(io.popen(
      ("env -i /bin/sh -c 'set -ae; . \"%s\"; exec /usr/bin/env -0' 2>&1"):format(path)))
    local output, found = pipe:read("a"), {}
    local ok = pipe:close()
    for name, value in output:gmatch("([%w_]+)=([^%z]*)%z") do
      if not OF_SH[name] then found[name] = value end
    end
    return ok and found
  end

  it("is read by sh as it was written", function()
    local map = {}
    for i, text in ipairs(STRINGS) do map["K" .. i] = text end
    assert.are.same(map, sourced(assert(env.write(map))))
  end)

  it("reads what it accepts as sh does", function()
    for _, text in ipairs {"A=b\n", "A=\n", "A=b", "  A=b  \n", "# c\n\nA=b\n#d", "A='b c'\n",
      'A="b c"\n',
        'A="b\\"c\\\\d\\$e\\`f\\g"\n', "A='b\\c$d`e'\n", "A=b\\ c\\$d\\'e\n", "A='b'\"c\"d\n",
          "A=\"a\nb\"\n",
        "A='a\nb'\n", 'A="a\\\nb"\n', "A=b#c\n", "A=#b\n", "A=b=c\n", "A=*?[x]\n", "A={a,b}\n",
          "A=b!c^d\n",
        "A=é\n", "A=a\nB=b\n", "A=''\n", 'A=""b\n', "A=\\#\n"} do
      local read, message = env.read(text)
      assert(read, message)
      assert.are.same(read, sourced(text), text)
    end
  end)

  it("refuses what sh and systemd read differently, with the line", function()
    for _, case in ipairs {
      {"A=b c", 1, "blanks"}, {"A=$HOME", 1, "expand"}, {'A="$HOME"', 1, "expand"}, {"A=`id`", 1,
        "run"},
      {"A=\nB=a\"b\"", 2, "middle"}, {"A=a'b'", 1, "middle"}, {"A=~", 1, "~"}, {"A=a;b", 1,
        "meaning"},
      {"A=a&b", 1, "meaning"}, {"A=a>b", 1, "meaning"}, {"A=(a)", 1, "meaning"}, {"A=b # c", 1,
        "comment"},
      {"A = b", 1, "expected"}, {"export A=b", 1, "expected"}, {"; c", 1, "expected"}, {"A", 1,
        "expected"},
      {"# c \\\nA=b", 1, "carry"}, {"1A=b", 1, "expected"}, {"A='b", 1, "not closed"},
      {'\n\nA="b\nc', 3, "not closed"}, {"A=b\nA=c", 2, "twice"}, {"A=b\r\n", 1, "meaning"},
      {"A=\"b\27c\"", 1, "control"}, {"A=\"\255\"", 1, "UTF%-8"}, {"A=a\\\nb", 1, "meaning"},
    } do
      local value, message, line = env.read(case[1])
      assert.is_nil(value, case[1])
      assert.matches(case[3], message)
      assert.are.equal(case[2], line, case[1])
    end
  end)

  it("refuses values that systemd cannot hold, names that are none, and lists", function()
    for _, text in ipairs(CONTROLS) do
      local written, message = env.write {A = text}
      assert.is_nil(written)
      assert.matches("^A has a control character", message)
    end
    assert.matches("UTF%-8", select(2, env.write {A = "\255"}))
    assert.matches("is not the name of a variable", select(2, env.write {["A\nB"] = "x"}))
    assert.matches("is not the name of a variable", select(2, env.write {["A=B"] = "x"}))
    assert.matches("A is a array", select(2, env.write {A = {1}}))
  end)

  it("can be written for docker, which reads values as they are", function()
    assert.are.equal('A=a "b" $c\nB=\n', env.write({A = 'a "b" $c', B = ""}, {style = "docker"}))
    assert.matches("line break", select(2, env.write({A = "a\nb"}, {style = "docker"})))
    assert.matches("no style", select(2, env.write({}, {style = "fish"})))
  end)
end)

describe("toml", function()
  local toml = format "toml"

  it("reads what the language has", function()
    assert.are.same({
      title = "T", a = {b = {c = 1}}, hex = 255, oct = 8, bin = 5, big = 1000, f = -500.0,
      owner = {name = "x\\y", born = "1979-05-27T07:32:00-08:00", day = "1979-05-27 07:32:00",
               list = {1, 2, {3, "x"}}, inline = {a = 1, b = {c = "d"}}, deep = {x = true}},
      p = {{n = 1, sub = {z = "q"}}, {n = 2, m = 'a b "c" é'}},
    }, assert(toml.read([==[
# comment
title = "T" # more
a.b.c = 1
hex = 0xff
oct = 0o10
bin = 0b101
big = 1_000
f = -0.5e3
[owner]
name = 'x\y'
born = 1979-05-27T07:32:00-08:00
day = 1979-05-27 07:32:00
list = [ 1, 2, # two
  [3, "x"], ]
inline = { a = 1, b.c = "d" }
[[p]]
n = 1
[p.sub]
z = '''q'''
[[p]]
n = 2
m = """
a \
   b "c" \u00e9"""
[owner.deep]
x = true
]==])))
  end)

  it("refuses what is wrong, with the line", function()
    for _, case in ipairs {
      {"a = 1\na = 2", 2, "twice"}, {"[a]\n[a]", 2, "twice"}, {"a = 01", 1, "no value"}, {"a = b",
        1, "quotes"},
      {"a = [1,2]\n[[a]]", 2, "set already"}, {"a = {b=1}\na.c = 2", 2, "set already"}, {"a = \"x",
        1, "closed"},
      {"a = 1 b = 2", 1, "end of the line"}, {"a", 1, "expected '='"}, {"a = \"\\q\"", 1, "escape"},
      {"a = 99999999999999999999", 1, "64 bits"}, {"a = 1__0", 1, "no value"}, {"a = \"\\ud800\"",
        1, "Unicode"},
      {"[a\nb=1", 1, "expected ]"}, {"a = 1\n[a.b]", 2, "no table"},
    } do
      local value, message, line = toml.read(case[1])
      assert.is_nil(value, case[1])
      assert.matches(case[3], message)
      assert.are.equal(case[2], line, case[1])
    end
  end)

  it("has no null, and says which key has it", function()
    assert.matches("^a b is null", select(2, toml.write {a = {1, 2}, ["a b"] = json.null}))
  end)

  it("keeps control characters as escapes", function()
    for _, text in ipairs(CONTROLS) do
      assert.are.equal(text, toml.read(assert(toml.write {a = text})).a)
    end
  end)
end)

describe("ini", function()
  local ini = format "ini"

  it("has sections", function()
    local text = assert(ini.write {a = 1, s = {k = "v w", x = ""}, ["t u"] = {y = "#1"}})
    assert.are.equal('a = 1\n\n[s]\nk = v w\nx = ""\n\n[t u]\ny = "#1"\n', text)
    assert.are.same({a = "1", s = {k = "v w", x = ""}, ["t u"] = {y = "#1"}}, ini.read(text))
    assert.are.same({a = "b", s = {}}, ini.read("; c\r\n# d\r\n a = b \r\n[s]\r\n"))
  end)

  it("keeps control characters as escapes", function()
    for _, text in ipairs(CONTROLS) do
      assert.are.equal(text, ini.read(assert(ini.write {a = text})).a)
    end
  end)

  it("refuses keys and depths that it cannot hold", function()
    for _, map in ipairs {{["a\nb"] = 1}, {["a=b"] = 1}, {["[a"] = 1}, {[" a"] = 1},
      {a = {b = {c = 1}}},
                          {a = {1, 2}}, {["a\n[b]"] = {c = 1}}} do
      assert.is_nil((ini.write(map)))
    end
  end)
end)
