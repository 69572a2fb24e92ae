local support = require "support"

local formats = require "orrery.formats"
local plugin = require "orrery.plugin"
local template = require "orrery.template"
local values = require "orrery.template.values"

local function render(text, scope, options)
  local result, err = template.render(text, scope or {}, options)
  return assert(result, err and tostring(err))
end

local function refusal(text, scope)
  local result, err = template.render(text, scope or {})
  assert.is_nil(result)
  return err.summary
end

local CASES = {
  upper = {{"ABC é", '${"abc é" | upper}'}, {"3", "${3 | upper}"}},
  lower = {{"abc", '${"ABC" | lower}'}},
  trim = {{"a b", '${" \\n a b \\t" | trim}'}, {"", '${"   " | trim}'}},
  replace = {{"a-b-c", '${"a.b.c" | replace(".", "-")}'}, {"%1", '${"x" | replace("x", "%1")}'},
             {"aa", '${"axa" | replace("x", "")}'}},
  split = {{'["a","b",""]', '${"a,b," | split(",") | json}'}, {'[""]',
    '${"" | split(",") | json}'}},
  join = {{"a, 1, true", '${["a", 1, true] | join}'}, {"a-b", '${["a", "b"] | join("-")}'}, {"",
    "${[] | join}"}},
  default = {{"d", '${null | default("d")}'}, {"", '${"" | default("d")}'}, {"false",
    "${false | default(true)}"}},
  json = {{'{"a":[1,null,"x\\"y"]}', '${{a = [1, null, "x\\"y"]} | json}'}, {'"3"',
    '${"3" | json}'}, {"3", "${3 | json}"},
          {"null", "${null | json}"}, {"[]", "${[] | json}"}},
  yaml = {{"word", '${"word" | yaml}'}, {'"yes"', '${"yes" | yaml}'}, {'"a: b"',
    '${"a: b" | yaml}'}, {"3", "${3 | yaml}"},
          {'"null"', '${"null" | yaml}'}, {'""', '${"" | yaml}'}},
  toml = {{'"a\\"b\\n"', '${"a\\"b\\n" | toml}'}, {"[1, \"x\"]", '${[1, "x"] | toml}'},
    {"{a = true}", "${{a = true} | toml}"},
          {"2.5", "${2.5 | toml}"}},
  env = {{"plain", '${"plain" | env}'}, {'"a b\\$c\\"d"', '${"a b$c\\"d" | env}'}, {"",
    '${"" | env}'}, {"true", "${true | env}"}},
  quote = {{'"a\\"b\\n"', '${"a\\"b\\n" | quote}'}, {'"3"', "${3 | quote}"}},
  shell_quote = {{"a.b", '${"a.b" | shell_quote}'}, {"'a b'", '${"a b" | shell_quote}'}, {"''",
    '${"" | shell_quote}'},
                 {"'it'\\''s $x'", '${"it\'s $x" | shell_quote}'}},
  url_encode = {{"a%20b%2F%3F%C3%A9-_.~", '${"a b/?é-_.~" | url_encode}'}},
  base64 = {{"", '${"" | base64}'}, {"YQ==", '${"a" | base64}'}, {"YWI=", '${"ab" | base64}'},
    {"YWJj", '${"abc" | base64}'},
            {"/+8=", '${x | base64}', {x = "\255\239"}}},
  first = {{"a", '${["a", "b"] | first}'}},
  last = {{"b", '${["a", "b"] | last}'}},
  sort = {{"1,10,a,b", '${["b", 10, "a", 1] | sort | join(",")}'}},
  unique = {{"b,a", '${["b", "a", "b"] | unique | join(",")}'}, {"[]", "${[] | unique | json}"}},
  keys = {{"a,b", '${{b = 1, a = 2} | keys | join(",")}'}},
  values = {{"2,1", '${{b = 1, a = 2} | values | join(",")}'}},
  length = {{"3", '${"añb" | length}'}, {"2", "${[1, 2] | length}"}, {"1", "${{a = 1} | length}"},
    {"0", "${[] | length}"}},
  number = {{"4", '${("3" | number) + 1}'}, {"0.5", '${"0.5" | number}'}, {"-10",
    '${"-1e1" | number}'}},
  bool = {{"true false", '${"yes" | bool} ${"0" | bool}'}},
  required = {{"x", '${"x" | required("m")}'}, {"false", '${false | required("m")}'}},
  base64_decode = {{"abc", '${"YWJj" | base64_decode}'}, {"ab", '${"YWI" | base64_decode}'},
    {"", '${"" | base64_decode}'}, {"é?", '${"w6k_" | base64_decode}'}},
  sha256 = {
    {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", '${"" | sha256}'},
    {"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", '${"abc" | sha256}'},
    {"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "${x | sha256}",
      {x = ("a"):rep(1000000)}},
    {"ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb", "${x | sha256}",
      {x = ("a"):rep(64)}},
    {"9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318", "${x | sha256}",
      {x = ("a"):rep(55)}},
  },
  indent = {{"a\n  b\n\n  c", '${"a\\nb\\n\\nc" | indent(2)}'},
    {"  a\n  b", '${"a\\nb" | indent(2, true)}'}, {"a", '${"a" | indent(0)}'}},
  map = {{"1,2", '${[{a = 1}, {a = 2}] | map("a") | join(",")}'},
    {"1,x", '${[{a = 1}, {b = 2}] | map("a", "x") | join(",")}'}, {"[]", '${[] | map("a") | json}'},
    {"[1,null]", '${[{a = 1}, {}] | map("a", null) | json}'}},
  where = {{"1", '${[{a = 1, b = "x"}, {a = 2, b = "y"}] | where("b", "x") | map("a") | join}'},
    {"2", '${[{a = 1, t = ["p"]}, {a = 2, t = ["p", "q"]}] | where("t", "q") | map("a") | join}'},
    {"[]", '${[{a = 1}] | where("b", 1) | json}'},
    {"2", '${[{a = 1, on = false}, {a = 2, on = true}, {a = 3}] | where("on") | map("a") | join}'}},
  contains = {{"true false", '${["a"] | contains("a")} ${contains(["a"], "b")}'},
    {"true false", '${{a = 1} | contains("a")} ${{a = 1} | contains("b")}'},
    {"true true", '${"a.c" | contains(".")} ${"" | contains("")}'},
    {"true", "${[[1]] | contains([1])}"}},
  lookup = {{"1 x", '${{a = 1} | lookup("a", "x")} ${{a = 1} | lookup("b", "x")}'},
    {"false", '${{a = false} | lookup("a", 1)}'}},
  url_host = {{"[::1]:80", '${"http://[::1]:80/x" | url_host}:80'},
    {"h.example", '${"https://h.example/" | url_host}'}, {"[::1]", '${"::1" | url_host}'},
    {"[fe80::1%eth0]", '${"fe80::1%eth0" | url_host}'},
    {"[::ffff:10.0.0.1]:80", '${"http://[::ffff:10.0.0.1]:80" | url_host}:80'}},
  word = {{"10.0.0.1:80", '${"10.0.0.1:80" | word}'}, {"[::1]", '${"[::1]" | word}'},
    {"3000", "${3000 | word}"}, {"/var/lib/a_b/x+y~1", '${"/var/lib/a_b/x+y~1" | word}'}},
  ini = {{"a b", '${"a b" | ini}'}, {'"a\\"b\\n"', '${"a\\"b\\n" | ini}'}, {'""', '${"" | ini}'},
    {'" a"', '${" a" | ini}'}, {'"#1"', '${"#1" | ini}'}, {"3", "${3 | ini}"},
    {"true", "${true | ini}"}},
  host = {{"h.example", '${"https://u:p@h.example:8443/x?y" | host}'}, {"::1",
    '${"http://[::1]:80" | host}'},
          {"h", '${"h:1" | host}'}},
  port = {{"8443", '${"https://h:8443/" | port}'}, {"443", '${"https://h" | port}'}, {"1",
    '${"[::1]:1" | port}'}},
}

local REFUSED = {
  upper = {"${[] | upper}", "list|array"}, lower = {"${null | lower}", "no value"},
    trim = {"${{a = 1} | trim}", "text"},
  replace = {'${"a" | replace("", "b")}', "empty"}, split = {'${"a" | split}',
    "separator is missing"},
  join = {'${"a" | join}', "must be a list"}, json = {"${x | json}", "64 deep"},
  toml = {"${null | toml}", "no null"}, env = {'${"\\u001b" | env}', "control"},
    quote = {"${[] | quote}", "text"},
  shell_quote = {"${x0 | shell_quote}", "NUL"}, url_encode = {"${null | url_encode}", "no value"},
  base64 = {"${[1] | base64}", "text"}, first = {"${[] | first}", "empty"}, last = {"${[] | last}",
    "empty"},
  sort = {"${[[1]] | sort}", "can be sorted"}, unique = {'${"a" | unique}', "list"},
    keys = {"${[1] | keys}", "map"},
  values = {'${"a" | values}', "map"}, length = {"${3 | length}", "map"},
    number = {'${"0x10" | number}', "not a number"},
  bool = {'${"maybe" | bool}', "not one of"}, required = {'${null | required("gone")}', "gone"},
  host = {'${"http:///x" | host}', "no host"}, port = {'${"h:99999" | port}', "valid port"},
    yaml = {"${x | yaml}", "64 deep"},
  base64_decode = {'${"YW=J" | base64_decode}', "not base64"}, sha256 = {"${[] | sha256}", "text"},
  indent = {'${"a" | indent(1000)}', "from 0 to 100"}, map = {'${[{a = 1}] | map("b")}',
    "item 0 has no field 'b'"},
  where = {'${["x"] | where("b")}', "item 0 must be a map"},
  contains = {"${3 | contains(3)}", "map"},
  lookup = {'${[1] | lookup("a")}', "map"}, url_host = {'${"" | url_host}', "no host"},
  ini = {"${[1] | ini}", "text"}, word = {'${"a;b" | word}', "must be one word"},
}

local function deep()
  local value = {}
  for _ = 1, 100 do value = {value} end
  return value
end

-- Of each filter: text that is no UTF-8, empty, null, numbers, deep lists, in every place.
local ODD = {"\255\254", "", "\0", " ", "é\u{301}", 0, -1, 1.5, 1e300, math.mininteger,
  true, false, {}, {1}, {{}}, {a = 1}, {a = {b = {}}}, ("x"):rep(100000)}

describe("filters", function()
  for name, cases in pairs(CASES) do
    it(name, function()
      for _, case in ipairs(cases) do
        assert.are.equal(case[1], render(case[2], case[3]))
      end
      local refused = REFUSED[name]
      if not refused then return end
      local message = refusal(refused[1], {x = deep(), x0 = "a\0b"})
      local found = false
      for pattern in refused[2]:gmatch("[^|]+") do found = found or message:find(pattern, 1,
        true) ~= nil end
      assert(found, message)
    end)
  end

  it("answer or refuse in a sentence whatever they are given", function()
    for _, item in ipairs(plugin.list("filter")) do
      local filter = require("filters." .. item.name)
      for i = 0, #ODD do
        for j = 0, #ODD do
          local ok, result = pcall(filter, ODD[i], ODD[j])
          if not ok then
            assert(type(result) == "string" and not result:find("^[%w_./]+%.lua:"),
              ("%s(%s, %s): %s"):format(item.name, ODD[i], ODD[j], result))
          end
        end
      end
    end
  end)

  it("make no text of more than 16 MiB", function()
    local long = ("a"):rep(100000)
    for _, text in ipairs {'${x | replace("a", x)}', '${x | split("a") | join(x)}'} do
      assert.matches("over 16 MiB", refusal(text, {x = long}))
    end
  end)

  it("take no longer than they may, whatever they are given", function()
    local a, maps, long = ("a"):rep(3000000), {}, {}
    for i = 1, 900 do
      maps[i] = {}
      for j = 1, 500 do maps[i][j] = 1 end
      maps[i][500] = i
    end
    for i = 1, 1000 do long[i] = a end
    for text, message in pairs {
      ["${a | contains(b)}"] = "too long to search",
      ['${a | replace(b, "")}'] = "too long to search",
      ['${a | split("a") | length}'] = "more than two million parts",
      ["${maps | unique | length}"] = "too large to compare",
      ["${long | sort | length}"] = "over 16 MiB",
    } do
      local began = os.clock()
      local _, err = template.render(text, {a = a, b = ("a"):rep(500000) .. "b",
        maps = maps, long = long})
      assert.matches(message, err and err.summary or "it was done", 1, true)
      assert.is_true(os.clock() - began < 30, text)
    end
  end)

  it("of the user that fail name their file and line", function()
    local dir = support.tmp()
    assert(os.execute("mkdir " .. dir .. "/filters"))
    support.write(dir .. "/filters/picky.lua",
      "return function(value)\n  if value == 'x' then error('no x here') end\n"
        .. "  return value.a.b\nend")
    local function fails(text)
      local result, err = template.render(text, {}, {dir = dir, name = "f.tmpl"})
      assert.is_nil(result)
      return err
    end
    assert.matches("picky: .*/filters/picky.lua:2: no x here", fails('a\n${"x" | picky}').summary)
    assert.matches("picky: .*/filters/picky.lua:3: ", fails('${"y" | picky}').summary)
    assert.are.equal(2, fails('a\n${"x" | picky}').line)
  end)

  it("of the user that take long in a loop are stopped", function()
    local dir = support.tmp()
    assert(os.execute("mkdir " .. dir .. "/filters"))
    support.write(dir .. "/filters/slow.lua",
      "return function(v) local n = 0 for i = 1, 3000000 do n = n + i end return v end")
    local list = {}
    for i = 1, 100000 do list[i] = i end
    local began = os.clock()
    local result, err = template.render("%{ for x in l }${x | slow}%{ endfor }", {l = list},
      {dir = dir, maxSteps = 2000000})
    assert.is_nil(result)
    assert.matches("too much work", err.summary)
    assert.is_true(os.clock() - began < 60)
  end)

  it("are all tried here", function()
    for _, item in ipairs(plugin.list("filter")) do assert.is_table(CASES[item.name], item.name) end
  end)

  it("beside the stack file come first, and are bounded", function()
    local dir = support.tmp()
    assert(os.execute("mkdir " .. dir .. "/filters"))
    support.write(dir .. "/filters/upper.lua", "return function(value) return value .. '!' end")
    support.write(dir .. "/filters/forever.lua", "return function() while true do end end")
    support.write(dir .. "/filters/broken.lua", "return function( end")
    support.write(dir .. "/filters/nothing.lua", "return 3")
    support.write(dir .. "/filters/reaches.lua",
      "return function() return io.open('/etc/passwd') end")
    local scope = {x = "a"}
    assert.are.equal("a!", render("${x | upper}", scope, {dir = dir}))
    assert.are.equal("A", render("${x | upper}", scope))
    for name, pattern in pairs {forever = "ran too long", broken = "cannot be used",
      reaches = "io is not available",
                                nothing = "does not return a function"} do
      local result, err = template.render("${x | " .. name .. "}", scope, {dir = dir})
      assert.is_nil(result)
      assert.matches(pattern, err.summary)
    end
  end)
end)

-- What a hostile service may put into its record.
local HOSTILE = {"a\nEVIL=1", 'a"\nEVIL: 1', "a'\nEVIL='1", "${x}", "%{ if x }", "$(touch /tmp/x)",
  "`id`", "a\\", '"', "'",
  "a\r\nEVIL = 1", "a #", "a: b", "- a", "a, \"EVIL\": 1", "{EVIL: 1}", "]\nEVIL=1", "\0",
    "\27[2J", "é", ""}

describe("hostile values", function()
  for name, text in pairs {env = "A=${x | env}\nB=b\n", json = '{"A": ${x | json}, "B": "b"}\n',
                           yaml = "A: ${x | yaml}\nB: b\n",
                             toml = "A = ${x | toml}\nB = \"b\"\n",
                             ini = "A = ${x | ini}\nB = b\n"} do
    it("through the filter of " .. name .. " stay one value", function()
      local format = assert(formats.get(name))
      for _, value in ipairs(HOSTILE) do
        local result = template.render(text, {x = value}, {format = name})
        if result then assert.are.same({A = value, B = "b"}, assert(format.read(result))) end
        local control = value:find("[%c\127]") and name == "env"
        assert(result or control, ("%s refused %q"):format(name, value))
      end
    end)

    it("as data of " .. name .. " stay one value", function()
      local format = assert(formats.get(name))
      for _, value in ipairs(HOSTILE) do
        local result = format.write {A = value, B = "b"}
        if result then assert.are.same({A = value, B = "b"}, format.read(result)) end
      end
    end)
  end

  for name, text in pairs {env = "A=${x}\nB=b\n", json = '{"A": "${x}", "B": "b"}\n',
    yaml = "A: ${x}\nB: b\n",
                           toml = "A = \"${x}\"\nB = \"b\"\n", ini = "A = ${x}\nB = b\n"} do
    it("without a filter never add a key to " .. name, function()
      local format = assert(formats.get(name))
      for _, value in ipairs(HOSTILE) do
        local result = template.render(text, {x = value}, {format = name})
        local read = result and format.read(result)
        if read then
          read.A, read.B = nil, nil
          assert.are.same({}, read, value)
        end
      end
    end)
  end

  it("are refused with the filter that helps", function()
    local _, err = template.render("A=${x}\n", {x = "a\nb"}, {format = "env"})
    assert.matches("^'x' has a line break.*use | env", err.summary)
    assert.are.equal('A="a\nb"\n', render("A=${x | env}\n", {x = "a\nb"}, {format = "env"}))
    assert.are.equal("A=a\n", render("A=${x | env | trim}\n", {x = "a"}, {format = "env"}))
  end)

  it("null stays null in lists", function()
    assert.are.equal("[null]", render("${[x] | json}", {x = values.null}))
  end)
end)
