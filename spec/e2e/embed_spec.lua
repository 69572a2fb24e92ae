-- liborrery in a C program: spec/support/host.c, compiled here and run.
local core = require "orrery.core"
local support = require "support"

local FLAGS = "cc -std=c11 -Wall -Wextra -Werror %s -Iengine -o %s %s %s "
  .. "$(pkg-config --cflags --libs lua5.4 libuv libcares jansson yaml-0.1) -lm -ldl"

local build = support.binary():match("^(.*)/[^/]+$")

--- The sanitizers of the library are those of the host.
local function sanitizers()
  local text = support.read(build .. "/CMakeCache.txt")
  return text:find("ORRERY_SANITIZE:BOOL=ON", 1, true) and "-fsanitize=address,undefined" or ""
end

local function compile(dir)
  local command = FLAGS:format(sanitizers(), dir .. "/host", "spec/support/host.c",
    build .. "/liborrery.a")
  local result = assert(core.process.run { shell = command, cwd = support.root, timeout = 60,
    env = { PATH = os.getenv("PATH") } })
  assert.equal("", result.stderr .. result.stdout)
  return dir .. "/host"
end

describe("a C program with Orrery inside", function()
  local host, dir
  local function run(text, options)
    options = options or {}
    local path = support.write(dir .. "/script.lua", text)
    local env = { ORRERY_ROOT = options.root or support.root, PATH = os.getenv("PATH") }
    return assert(core.process.run { argv = { host, path, "staging" }, timeout = 30, env = env,
      input = options.input })
  end

  before_each(function()
    dir = support.tmp()
    host = compile(dir)
  end)

  it("runs a script that waits, starts programs and calls the host, beside its input", function()
    local result = run([[
      local orrery = require "orrery"
      print(_G.host_greet(arg[1]))
      local said = orrery.process.run { argv = { "echo", "a program" } }
      io.write(said.stdout)
      local done = orrery.task.queue()
      orrery.task.spawn(function() orrery.time.sleep(0.05) done:push(7) end)
      return done:pop()
    ]], { input = "one line\n" })
    assert.equal("", result.stderr)
    assert.truthy(result.stdout:find("the host greets staging\n", 1, true), result.stdout)
    assert.truthy(result.stdout:find("a program\n", 1, true))
    assert.truthy(result.stdout:find("host read one line\n", 1, true), result.stdout)
    assert.equal(7, result.code)
  end)

  it("is told why a script failed", function()
    local result = run("error('no', 0)")
    assert.equal(1, result.code)
    assert.matches("^host: no\n", result.stderr)
  end)

  it("is told what is missing", function()
    local result = run("", { root = "/nowhere" })
    assert.equal(2, result.code)
    assert.equal("host: /nowhere/lua/orrery/init.lua is missing: install Orrery, or say where its "
      .. "folder is\n", result.stderr)
  end)

  it("leaves no process behind when it is killed", function()
    local path = support.write(dir .. "/script.lua", [[
      local orrery = require "orrery"
      local child = assert(orrery.process.spawn { argv = { "sleep", "1000" } })
      orrery.file.write(arg[1], tostring(child.pid))
      orrery.time.sleep(1000)
    ]])
    local note = dir .. "/pid"
    local child = assert(core.process.spawn { argv = { host, path, note },
      env = { ORRERY_ROOT = support.root } })
    support.wait_until(function() return support.exists(note) end)
    local pid = assert(tonumber(support.read(note)))
    child:signal("KILL")
    child:wait()
    support.wait_gone(pid)
  end)
end)
