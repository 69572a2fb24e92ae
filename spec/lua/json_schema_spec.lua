-- `orrery schema`, against an independent validator: what it accepts and what it refuses.
local core = require "orrery.core"
local json_schema = require "orrery.json_schema"
local secret = require "orrery.secret"
local stack_of = require "orrery.stack"
local support = require "support"

local json = core.json

--- The problems that Python's jsonschema finds in each of the documents.
local function problems_in(documents)
  local input = json.encode { schema = json_schema.stack(), documents = json.array(documents) }
  local result = assert(core.process.run { argv = { "/usr/bin/python3",
    support.root .. "/spec/support/json_schema.py" }, input = input, timeout = 30,
    maxOutput = 4 * 1024 * 1024 })
  assert(result.code == 0, result.stderr)
  return assert(json.decode(result.stdout))
end

--- A Lua stack file as the table that YAML or JSON would hold.
local function as_data(path)
  local function stand_in(spec) return { secret = spec } end
  local function from_env(name, default) return { env = name, default = default } end
  local env = setmetatable({ secret = stand_in, env = from_env }, { __index = _G })
  local value = assert(loadfile(path, "t", env))()
  return type(value) == "function" and value { domain = "localhost", settings = {} } or value
end

--- The Lua stack of the README's first block of code.
local function readme_example()
  local text = support.read(support.root .. "/README.md")
  local path = support.write(support.tmp() .. "/stack.lua", assert(text:match("```lua\n(.-)```")))
  return as_data(path)
end

local GOOD = {
  { services = { a = { exec = { "true" } } } },
  { profile = "simple-pds", domain = "pds.example.com", stateDir = "/srv" },
  { services = { a = { exec = { "x" }, dependencies = { "b", { name = "c", type = "soft" } } } } },
  { services = { a = { dependencies = { b = { type = "circular", timeout = 5 } } } } },
  { services = { a = { env = { A = 1, B = true, C = { secret = { file = "/x" } } } } } },
  { services = { a = { port = { env = "PORT", default = 80 }, healthEndpoint = "/x" } } },
  { services = { a = { port = "auto", hooks = { beforeStart = { "x" } } } } },
  { services = { a = { config = { ["a.json"] = { data = { 1, { b = 2 } }, mode = "0640",
    reload = { signal = "HUP" }, wait = { 1, 2 } } } } } },
  { services = { a = { healthChecks = { live = { strategy = "http", expectedStatus = { 200,
    "300-399" } } } } } },
  { services = { a = { variables = { v = { type = "object", properties = {
    w = { type = "number", min = 1 } } } } } } },
}

local BAD = {
  { service = {} },
  { services = { a = { prot = 80 } } },
  { services = { a = { port = 70000 } } },
  { services = { a = { port = "http" } } },
  { services = { A = { exec = { "x" } } } },
  { services = { a = { exec = {} } } },
  { services = { a = { dependencies = { b = { type = "requird" } } } } },
  { services = { a = { healthCheck = { strategy = "http", interval = 0 } } } },
  { services = { a = { config = { x = { template = "x", mode = "rw" } } } } },
  { services = { a = { config = { x = { template = "x", wait = { 1, 2, 3 } } } } } },
  { services = { a = { restart = { max = -1 } } } },
  { name = "No", services = {} },
  { discovery = { backend = "file", registrationTtl = "soon" } },
}

describe("the JSON Schema of a stack", function()
  it("accepts what a stack may have", function()
    local found = problems_in(GOOD)
    for i, document in ipairs(GOOD) do
      assert.same({}, found[i], json.encode(document))
    end
  end)

  it("refuses what is refused when a stack is loaded", function()
    local found = problems_in(BAD)
    for i, document in ipairs(BAD) do
      local text = json.encode(document)
      assert.is_true(#found[i] > 0, text)
      local path = support.write(support.tmp() .. "/stack.json", text)
      assert.is_nil((stack_of.load(path)), text)
    end
  end)

  it("accepts every profile, the README's stack and the type files", function()
    local documents = { readme_example() }
    for _, name in ipairs(assert(core.file.list(support.root .. "/profiles"))) do
      if name:find("%.lua$") then
        documents[#documents + 1] = as_data(support.root .. "/profiles/" .. name)
      end
    end
    for _, name in ipairs(assert(core.file.list(support.root .. "/lua/types"))) do
      if name:find("%.lua$") then
        local service = as_data(support.root .. "/lua/types/" .. name)
        documents[#documents + 1] = { services = { x = service } }
      end
    end
    for i, found in ipairs(problems_in(documents)) do
      assert.same({}, found, json.encode(documents[i], { lossy = true }))
    end
    assert.is_true(#documents > 5)
    assert.is_false(secret.is(documents[1]))
  end)

  it("turns the patterns of names into regular expressions", function()
    assert.equal("^[A-Za-z_][A-Za-z0-9_]*$", json_schema.regex("^[%a_][%w_]*$"))
    assert.equal("^\\$\\{.*\\}$", json_schema.regex("^%${.*}$"))
    assert.equal("^[0-9][0-9]-x$", json_schema.regex("^%d%d%-x$"):gsub("\\%-", "-"))
  end)

  it("is what `orrery schema` prints", function()
    local code, out, err = support.orrery { "schema" }
    assert.equal("", err)
    assert.equal(0, code)
    assert.same(json_schema.stack(), json.decode(out))
  end)
end)
