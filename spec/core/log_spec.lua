local support = require "support"
local orrery = require "orrery"
local log = orrery.log

--- The lines that `body` logs, without their times.
local function lines_of(body)
  local path = support.tmp() .. "/log"
  assert(log.set_file(path))
  local ok, problem = pcall(body)
  log.set_file()
  log.set_level "info"
  assert(ok, problem)
  local lines = {}
  for line in support.read(path):gmatch "[^\n]+" do
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ ", line)
    lines[#lines + 1] = line:sub(26)
  end
  return lines
end

describe("log", function()
  it("writes level, message and fields in order", function()
    local slow = 'warning slow path=/x port=3000 why="no \\"disk\\""'
    assert.same({ "info started", slow, "error gone ok=false" }, lines_of(function()
      log.info "started"
      log.warn("slow", { port = 3000, path = "/x", why = 'no "disk"' })
      log.error("gone", { ok = false })
    end))
  end)

  it("drops what is below its level", function()
    assert.same({ "debug a", "error d" }, lines_of(function()
      log.set_level "debug"
      log.debug "a"
      log.set_level "error"
      log.debug "b"
      log.warn "c"
      log.error "d"
    end))
  end)

  it("writes one line per event, whatever it holds", function()
    local lines = lines_of(function()
      log.info("two\nlines\27[31m", { x = "a\nb" })
      log.info(("x"):rep(100000))
      log.info("percent %s %n")
    end)
    assert.equal('info two\\nlines\\x1b[31m x="a\\nb"', lines[1])
    assert.is_true(#lines[2] < 9000)
    assert.equal("info percent %s %n", lines[3])
  end)

  it("never raises", function()
    local bad = setmetatable({}, { __tostring = function() error "broken" end })
    local lines = lines_of(function()
      log.info()
      log.info(nil, 5)
      log.info({}, { [1] = 2, x = print })
      log.info(bad)
      log.info("x", { y = bad })
      log.info("x", setmetatable({}, { __index = function() error "broken" end }))
    end)
    assert.equal(6, #lines)
    assert.matches("cannot be written: .*broken", lines[4])
  end)

  it("shows an object as it wants to be shown", function()
    local secret = setmetatable({ value = "hunter2" }, { __tostring = function() return "***" end })
    assert.same({ "info login password=***" }, lines_of(function()
      log.info("login", { password = secret })
    end))
  end)

  it("stays where it was when the file cannot be opened", function()
    local value, message, code = log.set_file(support.tmp() .. "/none/log")
    assert.is_nil(value)
    assert.matches("cannot log to .*/none/log", message)
    assert.equal("not_found", code)
    assert.has_error(function() log.set_level "loud" end)
  end)
end)
