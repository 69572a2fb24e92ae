require "support"
local orrery = require "orrery"
local json, yaml = orrery.json, orrery.yaml

local function refused(text, pattern)
  local value, message, code = yaml.decode(text)
  assert.is_nil(value)
  assert.equal("invalid", code)
  assert.matches(pattern, message)
end

describe("yaml.decode", function()
  it("reads maps, lists and nested flow", function()
    assert.same({ services = { pds = { port = 3000, tags = { "a", "b" } }, list = { { x = 1 } } } },
      yaml.decode "services:\n  pds: {port: 3000, tags: [a, b]}\n  list:\n    - x: 1\n")
  end)

  it("follows the core schema of YAML 1.2", function()
    local cases = { yes = "yes", no = "no", on = "on", ["true"] = true, False = false,
      ["~"] = json.null, ["null"] = json.null, ["12"] = 12, ["-12"] = -12, ["+1"] = 1, ["0"] = 0,
      ["0x1F"] = 31, ["0o17"] = 15,
      ["1.5"] = 1.5, [".5"] = 0.5, ["1e3"] = 1000.0, ["-.inf"] = -math.huge, ["1_000"] = "1_000",
      ["1:30"] = "1:30", ["2001-01-01"] = "2001-01-01", ["'12'"] = "12", ['"true"'] = "true",
      ["0b1"] = "0b1", ["-"] = { json.null }, ["."] = ".", ["+"] = "+", ["1e"] = "1e",
      ["e1"] = "e1", ["1."] = 1.0 }
    for text, value in pairs(cases) do assert.same(value, yaml.decode(text), text) end
    assert.equal("float", math.type(yaml.decode "1e3"))
    assert.is_true(yaml.decode ".nan" ~= yaml.decode ".nan")
  end)

  it("keeps a number with a leading zero as a string", function()
    assert.same({ "0640", "007", 0, 0.5 }, yaml.decode "[0640, 007, 0, 0.5]")
  end)

  it("reads tags of the core schema, and no other", function()
    assert.same({ "12", 12, 1.0, json.null, true },
      yaml.decode "[!!str 12, !!int '12', !!float 1, !!null '', !!bool 'true']")
    assert.same({ "12" }, yaml.decode "!!seq [! 12]")
    refused("a: !!python/object:os.system x", "^1:4: .*tag")
    refused("a: !mine x", "^1:4: .*tag")
    refused("!!set {a, b}", "tag")
    refused("a: !!int x", "does not fit its tag")
  end)

  it("reads keys as strings", function()
    assert.same({ ["8080"] = "x", ["true"] = 1, ["~"] = 2 }, yaml.decode "8080: x\ntrue: 1\n~: 2")
    refused("? [a]\n: 1", "^1:3: a key must be")
    refused("?\n: 1", "empty key")
  end)

  it("reads nothing as null", function()
    assert.equal(json.null, yaml.decode "")
    assert.equal(json.null, yaml.decode "# a comment\n")
    assert.equal(json.null, yaml.decode("a:\n").a)
  end)

  it("marks lists, so that an empty one stays one", function()
    assert.equal('{"l":[],"m":{}}', json.encode(yaml.decode "l: []\nm: {}"))
  end)

  it("copies what an alias stands for", function()
    local value = yaml.decode "a: &x {n: [1]}\nb: *x\nc: *x"
    assert.same({ n = { 1 } }, value.c)
    value.b.n[1] = 2
    assert.equal(1, value.a.n[1])
    assert.equal(1, value.c.n[1])
    assert.equal('[]', json.encode(yaml.decode("[&x [], *x]")[2]))
  end)

  it("names line and column of what it refuses", function()
    refused("a: 1\nb: 2\na: 3", '^3:1: the key "a" is there twice')
    refused("x: {a: 1, 'a': 2}", '^1:11: the key "a" is there twice')
    refused("a: 1\n<<: {b: 2}", "^2:1: merge keys")
    refused("a: 1\n--- \nb: 2", "^2:1: a second document")
    refused("a: [1", "^%d+:%d+: ")
    refused("a: b: c", "^1:5: ")
    refused("\tx: 1", "^1:%d+: ")
    refused("a: *nobody", "^1:4: an alias")
    refused("a: &x [*x]", "^1:8: an alias")
    refused("a: 9223372036854775808", "64 bits")
    refused("a: \xff", "byte 3")
    refused("a: 1\n...\nb", "^3:1: ")
  end)

  it("bounds depth, also through aliases", function()
    assert.is_table(yaml.decode(("["):rep(64) .. ("]"):rep(64)))
    refused(("["):rep(65) .. ("]"):rep(65), "64 deep")
    refused(("- "):rep(100000), "64 deep")
    local deep = ("["):rep(40) .. ("]"):rep(40)
    refused("a: &x " .. deep .. "\nb: " .. ("["):rep(30) .. "*x" .. ("]"):rep(30), "64 deep")
  end)

  it("bounds what aliases stand for (a billion laughs)", function()
    local lines = { "a0: &a0 [x, x, x, x, x, x, x, x, x, x]" }
    for i = 1, 9 do
      local use = ("*a%d, "):format(i - 1):rep(10)
      lines[#lines + 1] = ("a%d: &a%d [%s]"):format(i, i, use:sub(1, -3))
    end
    refused(table.concat(lines, "\n"), "500000 values")
    refused((" "):rep(16 * 1024 * 1024 + 1), "16 MiB")
  end)

  it("refuses what is no string", function()
    assert.has_error(function() yaml.decode({}) end)
  end)
end)

describe("yaml.encode", function()
  it("writes block style with sorted keys", function()
    assert.equal("a:\n- 1\n- x\nb:\n  c: true\nd: []\ne: {}\n",
      yaml.encode { b = { c = true }, a = { 1, "x" }, d = json.array(), e = {} })
  end)

  it("quotes strings that a reader could take for something else", function()
    local doubtful = { "yes", "No", "null", "~", "", "0640", "1:30", "1e3", "true", "<<", ".inf",
      "12" }
    for _, text in ipairs(doubtful) do
      local written = yaml.encode { text }
      assert.matches('"', written)
      assert.same({ text }, yaml.decode(written))
    end
  end)

  it("refuses what is no data, with its path", function()
    local text, message, code = yaml.encode { a = { print } }
    assert.is_nil(text)
    assert.equal("a[1]: a function is not data", message)
    assert.equal("invalid", code)
    assert.matches("UTF%-8", select(2, yaml.encode { "\xff" }))
    assert.matches("UTF%-8", select(2, yaml.encode { ["\xff"] = 1 }))
  end)

  it("gives the same value back", function()
    local random = require "support.data"
    for seed = 1, 300 do
      local value = random.value(seed, json)
      local text = assert(yaml.encode(value))
      local again, problem = yaml.decode(text)
      assert.is_nil(problem, text)
      assert.same(value, again)
      assert.equal(text, yaml.encode(again))
    end
  end)

  it("survives cut and garbled text without a crash", function()
    local random = require "support.data"
    for seed = 1, 200 do
      local text = yaml.encode(random.value(seed, json))
      local at = seed % #text + 1
      yaml.decode(text:sub(1, at))
      yaml.decode(text:sub(1, at - 1) .. string.char(seed % 256) .. text:sub(at + 1))
    end
  end)
end)
