-- What commands say where a stack, a service, a right or a backend is missing.
local core = require "orrery.core"
local support = require "support"

local root = core.process.user().uid == 0

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

local function stack(text)
  local dir = support.tmp()
  assert(core.file.chmod(dir, "0755"))
  support.write(dir .. "/stack.lua", ("return { name = 'words', stateDir = '%s/state', "
    .. "services = { %s } }"):format(dir, text))
  return dir
end

local function run(dir, ...) return support.orrery { "-f", dir, ... } end

describe("without a stack", function()
  it("the commands of discovery say that a backend will do", function()
    for _, words in ipairs { { "services" }, { "env" }, { "discover", "a" },
      { "deregister", "a" } } do
      words.cwd = support.tmp()
      local code, _, err = support.orrery(words)
      assert.equal(3, code)
      has(err, "name one with -f, or a discovery backend with --backend")
    end
  end)
end)

describe("a service that the stack does not have", function()
  local dir
  before_each(function()
    dir = stack "a = { exec = { 'true' }, config = { x = { template = '${service.ext.url}' } } }"
  end)

  it("is told with what to write", function()
    local code, _, err = run(dir, "validate")
    assert.equal(3, code)
    has(err, "there is no service 'ext' in this stack; one that only discovery knows is named in "
      .. "`dependencies`, with discover = true")
  end)

  it("is found by doctor too", function()
    local code, out = run(dir, "doctor")
    assert.equal(1, code)
    has(out, "is invalid: ")
    has(out, "there is no service 'ext'")
  end)
end)

describe("render of a stack", function()
  it("says that the backend could not be reached, and a missing value apart", function()
    local dir = stack("a = { exec = { 'true' }, dependencies = { { name = 'ext', "
      .. "discover = true } }, config = { x = { template = '${service.ext.url}' } } }")
    local code, _, err = run(dir, "render")
    assert.equal(1, code)
    has(err, "the url of 'ext' is not known yet: no instance of it is registered")
    local port = support.free_port()
    code, _, err = run(dir, "render", "--backend", "consul", "--consul-address",
      "127.0.0.1:" .. port)
    assert.equal(4, code)
    has(err, ("orrery: Cannot query discovery backend consul at 127.0.0.1:%d: connection refused; "
      .. "is it running there?"):format(port))
    assert.falsy(err:find("cannot be rendered", 1, true), err)
  end)

  it("takes none of the options of a template alone", function()
    local dir = stack "a = { exec = { 'true' } }"
    for flag, words in pairs { ["--max-drop=1"] = "`maxDrop` in its config",
      ["--format=json"] = "`format` in its config" } do
      local code, _, err = run(dir, "render", flag)
      assert.equal(2, code)
      has(err, words)
    end
  end)
end)

describe("graph", function()
  it("takes one form only", function()
    local code, _, err = run(stack "a = { exec = { 'true' } }", "graph", "--dot", "--json")
    assert.equal(2, code)
    has(err, "give one of --dot, --json")
  end)
end)

describe("who may not read", function()
  it("is told so, and not that there is nothing", function()
    if not root then return pending "needs root to become another user" end
    local dir = stack("a = { exec = { 'true' }, "
      .. "env = { P = { secret = { generate = 'hex:8', name = 'p' } } } }")
    assert(core.file.mkdir(dir .. "/state/secrets", 448))
    assert(core.file.mkdir(dir .. "/state/log"))
    support.write(dir .. "/state/log/a@" .. require("orrery.places").node() .. ".log", "x\n")
    os.execute("chmod 600 " .. dir .. "/state/log/*; chmod 755 " .. dir .. "/state "
      .. dir .. "/state/log; chmod 700 " .. dir .. "/state/secrets")
    for part, words in pairs {
      ["Permission denied; run this as a user who may read it"] = { "logs" },
      ["Permission denied; run this as the user whose secrets they are"] = { "secret", "list" },
    } do
      local code, out, err = support.orrery { "-f", dir, user = "nobody", table.unpack(words) }
      has(out .. err, part)
      assert.equal(1, code)
    end
  end)
end)
