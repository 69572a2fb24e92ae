-- `make install` into a folder: the program, a stock lua5.4 and a rockspec find everything there.
local core = require "orrery.core"
local support = require "support"

local build = support.binary():match("^(.*)/[^/]+$")

--- Installs what was built below `prefix`. The module of a build with sanitizers needs their
-- runtime in a stock Lua.
local function install(prefix)
  local code, _, err = support.run({ "cmake", "--install", build, "--prefix", prefix },
    { timeout = 60 })
  assert.equal(0, code, err)
end

describe("an installed tree", function()
  local prefix
  local function lua(text, env)
    env.LD_PRELOAD, env.ASAN_OPTIONS = os.getenv "LD_PRELOAD", os.getenv "ASAN_OPTIONS"
    return support.run({ "lua5.4", "-e", text }, { cwd = "/", env = env, timeout = 60 })
  end

  before_each(function()
    prefix = support.tmp()
    install(prefix)
  end)

  it("tells a stock lua5.4 where it is", function()
    local code, out, err = support.run { prefix .. "/bin/orrery", "version", "--paths" }
    assert.equal(0, code, err)
    local env = {}
    for name, value in out:gmatch("export ([%w_]+)='([^']*)'") do env[name] = value end
    code, out, err = lua([[local o = require "orrery"
      print(o.version, o.script.root(), #assert(o.stack.load "simple-pds"):plan().order > 1)]],
      env)
    assert.equal("", err)
    assert.equal(0, code)
    assert.equal(("%s\t%s/share/orrery\ttrue\n"):format(core.version, prefix), out)
  end)

  it("is found through lua/5.4, where a stock Lua looks by default", function()
    local modules = prefix .. "/share/lua/5.4/?.lua;;"
    local code, out, err = lua([[local o = require "orrery"
      local s <close> = assert(o.stack.load { name = "x", stateDir = os.getenv "STATE",
        services = { a = { user = os.getenv "WHO", exec = { "sleep", "60" } } } })
      print(assert(s:up()).good, s:service("a"):status().state)
      print(o.format.write({ a = "b" }, "toml"), o.template.render("${x | upper}", { x = "y" }))
      print(assert(s:down()))]], { LUA_PATH = modules, STATE = support.tmp(),
      WHO = core.process.user().name, LUA_CPATH = prefix .. "/lib/lua/5.4/?.so" })
    assert.equal("", err)
    assert.equal(0, code)
    assert.equal('true\trunning\na = "b"\n\tY\tfalse\ntrue\n', out)
  end)

  it("loads a module when it is used, not before", function()
    local code, out, err = lua([[local o = require "orrery"
      local n = 0
      for name in pairs(package.loaded) do if name:find("^orrery%.") then n = n + 1 end end
      print(n)]], { LUA_PATH = prefix .. "/share/lua/5.4/?.lua;;",
      LUA_CPATH = prefix .. "/lib/lua/5.4/?.so" })
    assert.equal("", err)
    assert.equal(0, code)
    assert.equal("1\n", out) -- orrery.core
  end)
end)

describe("the rockspec", function()
  it("is one, of this version", function()
    local path = ("%s/orrery-%s-1.rockspec"):format(support.root, core.version)
    local code, out, err = support.run({ "luarocks", "lint", path })
    assert.equal(0, code, out .. err)
  end)
end)
