-- What users' scripts may not do, kind by kind: each where it is really read, by the real reader.
-- (The sandbox itself is in plugin_spec.lua.)
local core = require "orrery.core"
local lfs = require "lfs"
local support = require "support"
local orrery = require "orrery"
local plugin = require "orrery.plugin"
local template = require "orrery.template"

local dir

--- Writes <kind>s/<name>.lua beside the stack.
local function write(kind, name, text)
  lfs.mkdir(("%s/%ss"):format(dir, kind))
  return support.write(("%s/%ss/%s.lua"):format(dir, kind, name), text)
end

--- Each kind of script that computes only: how a stack meets the text, and where its file is.
-- Returns message, path of the file.
local kinds = {
  ["stack file"] = function(text)
    local path = support.write(dir .. "/stack.lua", text)
    return select(2, orrery.stack.load(path)), path
  end,
  profile = function(text)
    local path = write("profile", "own", text)
    support.write(dir .. "/stack.lua", "return { profile = 'own' }")
    return select(2, orrery.stack.load(dir)), path
  end,
  type = function(text)
    local path = write("type", "own", text)
    support.write(dir .. "/stack.lua", "return { services = { a = { type = 'own' } } }")
    return select(2, orrery.stack.load(dir)), path
  end,
  filter = function(text)
    local path = write("filter", "own", text)
    return select(2, orrery.template.render("${x | own}", { x = "x" }, { dir = dir })), path
  end,
  format = function(text)
    local path = write("format", "own", text)
    return select(2, orrery.format.write({}, "own", dir)), path
  end,
}

local REACHES_OUT = { "io.open('/etc/passwd')", "os.execute('true')", "os.time()", "os.clock()",
  "os.getenv('HOME')", "require 'orrery'", "loadfile('/etc/passwd')", "dofile('/etc/passwd')",
  "package.loadlib('x', 'y')", "debug.getregistry()", "load('return 1')", "print('x')",
  "coroutine.create(print)", "collectgarbage()", "math.random()" }

before_each(function() dir = support.tmp() end)

for kind, meet in pairs(kinds) do
  describe("a " .. kind, function()
    it("has no I/O, no clock and no chance, and names its file and line", function()
      for _, expression in ipairs(REACHES_OUT) do
        local message, path = meet("local x = 1\nlocal y = " .. expression .. "\nreturn { x, y }")
        local name = expression:match("^[%w]+")
        assert.matches(path .. ":2", message, 1, true)
        local expected = name == "math" and "random" or name
        assert.matches(expected, message, 1, true)
      end
    end)

    it("is stopped when it runs away, also inside pcall", function()
      local message, path = meet("while true do pcall(function() while true do end end) end")
      assert.matches(path, message, 1, true)
      assert.matches("ran too long, and was stopped", message, 1, true)
    end)

    it("is stopped when it takes too much memory", function()
      local greedy = { "return ('x'):rep(1 << 30)" }
      -- bit by bit takes seconds, and one allocator serves all kinds
      if kind == "type" then
        greedy[2] = "local t = {} for i = 1, 1 << 30 do t[i] = { i } end return t"
      end
      for _, text in ipairs(greedy) do
        local message = meet(text)
        assert.truthy(message:find("used too much memory, and was stopped", 1, true)
          or message:find("ran too long, and was stopped", 1, true), message)
      end
    end)

    it("is refused as bytecode", function()
      local message, path = meet(string.dump(function() return {} end))
      assert.matches(path, message, 1, true)
      assert.matches("attempt to load a binary chunk", message, 1, true)
    end)

    it("has strict globals", function()
      local message, path = meet("\ncount = 1\nreturn {}")
      assert.matches(path .. ":2", message, 1, true)
      assert.matches('"count" would be global: write "local count = ..."', message, 1, true)
      message = meet("return { tostrng(1) }")
      assert.matches('undefined name "tostrng"; did you mean "tostring"?', message, 1, true)
    end)
  end)
end

describe("the functions of plug-ins", function()
  it("are bounded as their files are: profile, type, filter, format", function()
    local runaway = "return function() while true do end end"
    for _, kind in ipairs { "profile", "type" } do
      local message, path = kinds[kind](runaway)
      assert.matches(path .. ":1", message, 1, true)
      assert.matches("ran too long", message, 1, true)
    end
    local message, path = kinds.filter(runaway)
    assert.matches(path .. ":1: ran too long", message, 1, true)
    message = kinds.format("return { write = function() while true do end end }")
    assert.matches("ran too long", message, 1, true)
  end)

  it("cannot take memory without bound", function()
    local greedy = "return function() local s = 'x' while true do s = s .. s end end"
    for _, kind in ipairs { "profile", "type", "filter" } do
      assert.matches("used too much memory", (kinds[kind](greedy)), 1, true)
    end
  end)

  it("may not wait", function()
    write("filter", "waits", "return function(v) return v:rep(2) end")
    local filter = plugin.read("filter", "waits", dir)
    assert.equal("xx", filter("x"))
    local ok, message = core.script.call(1, function() core.time.sleep(0) end)
    assert.is_nil(ok)
    assert.matches("cannot wait here", message, 1, true)
  end)

  it("cannot reach our libraries through what they are given", function()
    local message = kinds.type("return function(service, stack)\n"
      .. "  stack.services.a.exec = { 'stolen' }\n  string.format = nil\n  return {} end")
    assert.matches("services.a", message, 1, true) -- it still has nothing to run
    assert.is_function(string.format)
  end)
end)

describe("a template", function()
  it("is stopped when it works for ever", function()
    local loops = "%{ for a in l }%{ for b in l }%{ for c in l }x%{ endfor }%{ endfor }%{ endfor }"
    local list = {}
    for i = 1, 3000 do list[i] = i end
    local text, problem = template.render(loops, { l = list })
    assert.is_nil(text)
    assert.truthy(problem.message:find("too much", 1, true) or problem.message:find("more than",
      1, true), problem.message)
  end)
end)

describe("a broken script of a user", function()
  it("takes no other service down", function()
    write("type", "broken", "return {\n  port = \n}")
    support.write(dir .. "/stack.lua", "return { services = { bad = { type = 'broken' }, "
      .. "good = { exec = { 'true' }, prot = 1 } } }")
    local s, message = orrery.stack.load(dir)
    assert.is_nil(s)
    assert.matches(dir .. "/types/broken.lua:3: unexpected symbol", message, 1, true)
    assert.matches('services.good.prot: unknown key; did you mean "port"?', message, 1, true)
  end)

  it("fails alone in `orrery script`: its task, with file and line", function()
    local path = support.write(dir .. "/deploy.lua", [[
local orrery = require "orrery"
local bad = orrery.task.spawn(function()
  local nothing
  return nothing.here
end)
print(bad:join())
print "still here"
]])
    local code, out = support.orrery { "script", path }
    assert.equal(0, code)
    -- Lua shows only the end of a long name
    assert.matches(path:sub(-30) .. ":4: attempt to index a nil value", out, 1, true)
    assert.matches("still here", out, 1, true)
  end)
end)
