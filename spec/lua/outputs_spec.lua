local support = require "support"
local core = require "orrery.core"
local outputs = require "orrery.supervisor.outputs"
local stacks = require "support.stacks"

local function complaint(text)
  local values, message = outputs.parse(text)
  assert.is_nil(values)
  return message
end

describe("what a oneshot publishes", function()
  it("is name=value lines, the last of a name counting", function()
    assert.same({}, outputs.parse(""))
    assert.same({ a = "2", b = "x=y ", c = "" }, outputs.parse("a=1\n\nb=x=y \nc=\na=2"))
  end)

  it("is refused with its line when it is anything else", function()
    assert.matches("line 2 .*expected name=value", complaint("a=1\nhello\n"))
    assert.matches("line 1 .*'a b' is no name", complaint("a b=1"))
    assert.matches("'' is no name", complaint("=1"))
    assert.matches("is no name", complaint(("a"):rep(65) .. "=1"))
    assert.matches("status cannot be set", complaint("status=passing"))
    assert.matches("more than 4096 bytes", complaint("a=" .. ("x"):rep(4097)))
    assert.matches("no text of one line", complaint("a=\27[31m"))
    assert.matches("no text of one line", complaint("a=\255"))
    assert.matches("no text of one line", complaint("a=b\r\n"))
    assert.matches("more than 100 lines", complaint(("a=1\n"):rep(101)))
  end)

  it("is kept for its owner only, bounded, and read back", function()
    local dir = support.tmp()
    local stack = { dirs = { run = dir .. "/run", state = dir .. "/state" } }
    local path = assert(outputs.prepare(stack, "setup@a"))
    assert.equal(384, core.file.stat(path).mode & 511)
    assert.is_nil(outputs.load(stack, "setup"))
    support.write(path, "did=did:plc:abc\n")
    assert.same({ did = "did:plc:abc" }, outputs.collect(stack, "setup", path))
    assert.same({ did = "did:plc:abc" }, outputs.load(stack, "setup"))
    support.write(path, ("a=1\n"):rep(20000))
    assert.matches("cannot be read", select(2, outputs.collect(stack, "setup", path)))
    assert.same({ did = "did:plc:abc" }, outputs.load(stack, "setup"))
    local second = assert(outputs.prepare(stack, "setup-2@a"))
    support.write(second, "did=did:plc:second\n")
    assert(outputs.collect(stack, "setup", second, 2))
    assert.same({ did = "did:plc:second" }, outputs.load(stack, "setup", 2))
    assert.same({ did = "did:plc:abc" }, outputs.load(stack, "setup"))
    assert.equal("", support.read(assert(outputs.prepare(stack, "setup@a"))))
    support.write(dir .. "/state/outputs/setup.json", '{"a": [1]}')
    assert.is_nil(outputs.load(stack, "setup"))
  end)
end)

describe("readyWhen and hooks in a stack file", function()
  local function service(fields)
    return "return { services = { web = { exec = { 'web' }, " .. fields .. " } } }"
  end

  it("are taken in all their forms", function()
    local good = stacks.good(support.tmp(), service [[readyWhen = "log:up", hooks = { timeout = 5,
      beforeStart = { "a" }, afterStop = { command = { "b" }, timeout = 1 },
      onHealthy = function() end, onUnhealthy = { run = function() end } }]]).services.web
    assert.equal("log:up", good.readyWhen)
    assert.same({ "a" }, good.hooks.beforeStart)
    assert.is_function(good.hooks.onHealthy)
    assert.equal("notify",
      stacks.good(support.tmp(), service 'readyWhen = "notify"').services.web.readyWhen)
  end)

  it("are refused in others, with what to write", function()
    local function wrong(fields) return stacks.only(support.tmp(), service(fields)) end
    assert.matches('readyWhen: expected "check", "notify", "started" or "log:<text>"',
      wrong 'readyWhen = "logged"')
    assert.matches("web.hooks.afterStop: needs one of command and run",
      wrong "hooks = { afterStop = { timeout = 1 } }")
    assert.matches("web.hooks.afterStop: expected a list, a function",
      wrong "hooks = { afterStop = 'x' }")
    assert.matches("web.hooks.onReady: unknown key", wrong "hooks = { onReady = { 'x' } }")
  end)

  it("keep secrets out of their commands", function()
    assert.matches("hooks.afterStop%[2%]: %${key} is a secret", stacks.only(support.tmp(),
      service [[variables = { key = { type = "string", secret = true, generate = "hex:8" } },
        hooks = { afterStop = { command = { "x", "${key}" } } }]]))
  end)
end)
