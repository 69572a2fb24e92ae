-- `orrery script`: a user's Lua file as a program.
local core = require "orrery.core"
local support = require "support"

--- Runs a script of this text. Returns exit code, standard output, standard error, and the end of
--- its path: Lua shows no more of a long one.
local function script(text, ...)
  local path = support.write(support.tmp() .. "/deploy.lua", text)
  local code, out, err = support.orrery { "script", path, ... }
  return code, out, err, path:sub(-30)
end

describe("a script", function()
  it("gets its arguments, dashes and all, and waits in plain calls", function()
    local code, out, err = script([[
      local orrery = require "orrery"
      orrery.time.sleep(0.01)
      local result = orrery.process.run { argv = { "echo", arg[1], ... } }
      io.write(result.stdout, #arg)
    ]], "--json", "-f", "--", "b")
    assert.equal("", err)
    assert.equal("--json --json -f -- b\n4", out)
    assert.equal(0, code)
  end)

  it("is a program with a first line for the shell", function()
    local dir = support.tmp()
    local bin = support.binary():match("^(.*)/[^/]+$")
    local path = support.write(dir .. "/say", '#!/usr/bin/env -S orrery script\nprint(arg[1])\n')
    assert(core.file.chmod(path, tonumber("755", 8)))
    local _, out = support.run({ path, "hello" },
      { env = { PATH = bin .. ":" .. os.getenv("PATH") } })
    assert.equal("hello\n", out)
  end)

  it("ends with what it returns or gives to os.exit", function()
    assert.equal(0, (script ""))
    assert.equal(3, (script "return 3"))
    assert.equal(1, (script "return false"))
    assert.equal(4, (script "os.exit(4)"))
    assert.equal(0, (script "os.exit(true)"))
    assert.equal(5, (script "pcall(os.exit, 5) return 9"))
    assert.equal(6, (script [[
      local orrery = require "orrery"
      orrery.task.spawn(function() os.exit(6) end)
      orrery.time.sleep(60)
    ]]))
  end)

  it("fails with nil and a message, which is printed", function()
    local code, _, err = script 'return nil, "no quorum of relays"'
    assert.equal(1, code)
    assert.equal("orrery: no quorum of relays\n", err)
  end)

  it("names file and line of an error, and shows only its own frames", function()
    local code, _, err, path = script "local function f() local x; return x.y end\nlocal a = f()"
    assert.equal(1, code)
    assert.truthy(err:find("^orrery: "), err)
    assert.truthy(err:find(path .. ":1: attempt to index a nil value", 1, true), err)
    assert.truthy(err:find(path .. ":2: in main chunk", 1, true), err)
    assert.falsy(err:find("runner", 1, true), err)
  end)

  it("has strict globals", function()
    local code, _, err, path = script "x = 1\nprint(x)\nprin(2)"
    assert.equal(1, code)
    local expected = path .. ':3: undefined name "prin"; did you mean "print"?'
    assert.truthy(err:find(expected, 1, true), err)
    _, _, err = script "local function f() count = 1 end f()"
    assert.truthy(err:find('"count" would be global', 1, true), err)
  end)

  it("is stopped where it computes for a second without waiting", function()
    local code, _, err, path = script "local n = 0\npcall(function() while true do n = -n end end)"
    assert.equal(1, code)
    local expected = path .. ":2: ran for a second without waiting, and was stopped"
    assert.truthy(err:find(expected, 1, true), err)
  end)

  it("cancels the tasks that are left over, and closes what they hold", function()
    local code, out = script [[
      local orrery = require "orrery"
      orrery.task.spawn(function()
        local held <close> = setmetatable({}, { __close = function() print "closed" end })
        orrery.time.sleep(1000)
      end)
      orrery.time.sleep(0.01)
      return 2
    ]]
    assert.equal("closed\n", out)
    assert.equal(2, code)
  end)

  it("leaves no process that it started", function()
    local _, out = script [[
      local orrery = require "orrery"
      local child = assert(orrery.process.spawn { argv = { "sleep", "1000" } })
      print(child.pid)
    ]]
    support.wait_gone(assert(tonumber(out)))
  end)

  it("that is not there, is a folder, or is bytecode is refused", function()
    local code, _, err = support.orrery { "script", "/nowhere.lua" }
    assert.equal(2, code)
    assert.truthy(err:find("there is no file /nowhere.lua", 1, true), err)
    code, _, err = support.orrery { "script", support.tmp() }
    assert.equal(1, code)
    assert.truthy(err:find("it is a folder", 1, true), err)
    code, _, err = script(string.dump(function() return 0 end))
    assert.equal(1, code)
    assert.truthy(err:find("binary", 1, true), err)
  end)
end)
