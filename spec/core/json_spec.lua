require "support"
local json = require("orrery").json

local function refused(text, pattern, options)
  local value, message, code = json.decode(text, options)
  assert.is_nil(value)
  assert.equal("invalid", code)
  assert.matches(pattern, message)
end

local function unwritable(value, pattern)
  local text, message, code = json.encode(value)
  assert.is_nil(text)
  assert.equal("invalid", code)
  assert.matches(pattern, message)
end

describe("json.decode", function()
  it("keeps integers exact and floats floats", function()
    local value = json.decode "[9223372036854775807, -9223372036854775808, 1.0, 0.1, 1e300]"
    assert.equal(math.maxinteger, value[1])
    assert.equal(math.mininteger, value[2])
    assert.equal("float", math.type(value[3]))
    assert.equal(0.1, value[4])
    assert.equal(1e300, value[5])
  end)

  it("reads null as a value that keeps its key", function()
    local value = json.decode '{"a": null, "b": [null]}'
    assert.equal(json.null, value.a)
    assert.equal(json.null, value.b[1])
    assert.equal("userdata", type(json.null))
  end)

  it("reads a scalar, escapes and NUL bytes", function()
    assert.equal(5, json.decode "5")
    assert.equal(false, json.decode "false")
    assert.equal("a\0b\u{1F600}", json.decode [["a\u0000b\ud83d\ude00"]])
  end)

  it("names line and column of what it refuses", function()
    refused('{"a": 1,\n "b": 2, "a": 3}', "^2:%d+: duplicate object key")
    refused("[1, 2", "^1:%d+: ")
    refused("[1] x", "^1:%d+: ")
    refused("", "^%d+:%d+: ")
    refused("[NaN]", "^1:%d+: ")
    refused("[01]", "^1:%d+: ")
    refused('"\xff"', "decode byte 0xff")
    refused("[9223372036854775808]", "too big integer")
    refused("[1e999]", "real number overflow")
  end)

  it("does not quote the text it refuses, which may be a secret", function()
    local _, message = json.decode '{"password": "hunter2" "x": 1}'
    assert.is_nil(message:find("hunter2", 1, true))
  end)

  it("bounds depth and size", function()
    assert.is_table(json.decode(("["):rep(64) .. ("]"):rep(64)))
    refused(("["):rep(65) .. ("]"):rep(65), "too deeply")
    refused(("["):rep(1000000), "depth")
    refused("[[1]]", "too deeply", { max_depth = 1 })
    refused((" "):rep(16 * 1024 * 1024 + 1), "16 MiB")
  end)

  it("raises for misuse", function()
    assert.has_error(function() json.decode({}) end)
    assert.has_error(function() json.decode("1", { max_depth = 0 }) end)
    assert.has_error(function() json.decode("1", { max_depth = "x" }) end)
  end)
end)

describe("json.encode", function()
  it("sorts keys, and indents on request", function()
    assert.equal('{"a":[1,2],"b":{"c":true}}', json.encode { b = { c = true }, a = { 1, 2 } })
    assert.equal('{\n  "a": [\n    1,\n    2\n  ],\n  "b": []\n}',
      json.encode({ a = { 1, 2 }, b = json.array {} }, { indent = 2 }))
  end)

  it("tells an empty list from an empty map", function()
    assert.equal('{"l":[],"m":{}}', json.encode { l = json.array(), m = {} })
    local text = '{"l":[],"m":{},"n":[[],{}]}'
    assert.equal(text, json.encode(json.decode(text)))
    local list = json.decode "[1]"
    list[1] = nil
    assert.equal("[]", json.encode(list))
    assert.is_true(json.is_array(list))
    assert.is_false(json.is_array {})
  end)

  it("writes the shortest number that reads back the same", function()
    assert.equal("[0.1,1.0,1e+300,-0.0,3]", json.encode { 0.1, 1.0, 1e300, -0.0, 3 })
    local numbers = { 1 / 3, math.pi * 1e-200, 2 ^ 53 + 2.0, 5e-324, 1.7976931348623157e308 }
    for _, number in ipairs(numbers) do
      assert.equal(number, json.decode(json.encode(number)))
    end
  end)

  it("escapes keys and strings", function()
    assert.equal([[{"a\"b":"\n\u0000"}]], json.encode { ['a"b'] = "\n\0" })
  end)

  it("refuses with the path what is no data", function()
    unwritable({ a = { b = { 1, print } } }, "^a%.b%[2%]: a function is not data$")
    unwritable({ a = io.stdout }, "^a: a ")
    unwritable({ [1] = 1, [3] = 3 }, "a list with holes")
    unwritable({ x = { [1e15 // 1 | 0] = 1 } }, "^x: a list with holes")
    unwritable({ 1, a = 2 }, "both a list and a map")
    unwritable({ [true] = 1 }, "neither strings")
    unwritable({ [1.5] = 1 }, "neither strings")
    unwritable({ [0] = 1 }, "neither strings")
    unwritable({ n = 0 / 0 }, "^n: a number that is not finite")
    unwritable({ math.huge }, "not finite")
    unwritable({ s = "\xff" }, "^s: .*UTF%-8")
    unwritable({ ["\0"] = 1 }, "NUL")
    local object = setmetatable({}, { __tostring = function() return "***" end })
    unwritable({ s = object }, "^s: an object")
    local list = json.array()
    list.x = 1
    unwritable(list, "both a list and a map")
  end)

  it("replaces wrong bytes on request", function()
    local function lossy(text) return json.decode(json.encode({ text }, { lossy = true }))[1] end
    local good = "\0a\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"
    assert.equal(good, lossy(good))
    assert.equal("caf\u{fffd} \u{fffd}", lossy("caf\xe9 \xff"))
    assert.equal("\u{fffd}\u{fffd}x", lossy("\xc0\xafx")) -- overlong
    assert.equal("\u{fffd}\u{fffd}\u{fffd}", lossy("\xed\xa0\x80")) -- a surrogate
    assert.equal("\u{fffd}\u{fffd}\u{fffd}\u{fffd}", lossy("\xf4\x90\x80\x80")) -- too high
    assert.equal("x\u{fffd}\u{fffd}", lossy("x\xe2\x82")) -- cut off
    assert.equal('{"\u{fffd}":1}', json.encode({ ["\xff"] = 1 }, { lossy = true }))
    assert.is_nil((json.encode({ ["\xff\0"] = 1 }, { lossy = true })))
  end)

  it("refuses a cycle", function()
    local cycle = {}
    cycle.next = cycle
    unwritable(cycle, "next%.next.*too deeply")
  end)

  it("bounds its output", function()
    local shared = ("x"):rep(1 << 20)
    local list = {}
    for i = 1, 70 do list[i] = shared end
    unwritable(list, "64 MiB")
  end)

  it("raises for misuse", function()
    assert.has_error(function() json.encode() end)
    assert.has_error(function() json.encode(1, { indent = 100 }) end)
    assert.has_error(function() json.array("x") end)
    assert.has_error(function() json.array(setmetatable({}, {})) end)
  end)
end)

describe("json round trips", function()
  local random = require "support.data"

  it("give the same value and the same text", function()
    for seed = 1, 300 do
      local value = random.value(seed, json)
      local text = assert(json.encode(value, { indent = seed % 3 }))
      local again = assert(json.decode(text))
      assert.same(value, again)
      assert.equal(text, json.encode(again, { indent = seed % 3 }))
    end
  end)

  it("survive cut and garbled text without a crash", function()
    for seed = 1, 200 do
      local text = json.encode(random.value(seed, json))
      local at = seed % #text + 1
      json.decode(text:sub(1, at))
      json.decode(text:sub(1, at - 1) .. string.char(seed % 256) .. text:sub(at + 1))
    end
  end)
end)
