local support = require "support"
local plugin = require "orrery.plugin"
local sandbox = require "orrery.sandbox"
local suggest = require "orrery.suggest"

local function run(text, options)
  return sandbox.run(text, "/somewhere/stack.lua", options or {})
end

local function problem_of(text, options)
  local value, problem = run(text, options)
  assert.is_nil(value)
  return problem
end

describe("the sandbox", function()
  it("gives the value of a script", function()
    assert.same({ name = "a" }, run "return { name = 'a' }")
  end)

  it("names file and line of an error, without a traceback", function()
    local problem = problem_of "local x = 1\nlocal y = nil\nreturn y.z"
    assert.equal("/somewhere/stack.lua", problem.file)
    assert.equal(3, problem.line)
    assert.matches("attempt to index a nil value", problem.message)
    assert.not_matches("traceback", problem.message)
  end)

  it("names file and line of a mistake in the language", function()
    local problem = problem_of "return {\n  name = \n}"
    assert.equal(3, problem.line)
    assert.matches("unexpected symbol", problem.message)
  end)

  it("keeps file and line where Lua would shorten a long path", function()
    local path = "/" .. ("folder/"):rep(30) .. "stack.lua"
    local _, problem = sandbox.run("\nerror('no')", path, {})
    assert.same({ file = path, line = 2, message = "no" }, problem)
  end)

  it("refuses an undefined name, and suggests one", function()
    local problem = problem_of "return tostrng(1)"
    assert.equal('undefined name "tostrng"; did you mean "tostring"?', problem.message)
    assert.equal(1, problem.line)
  end)

  it("refuses to make a global", function()
    local problem = problem_of "port = 1\nreturn {}"
    assert.equal('"port" would be global: write "local port = ..."', problem.message)
  end)

  it("has nothing that reaches outside", function()
    for _, name in ipairs { "io", "os", "debug", "load", "loadfile", "dofile", "require", "package",
      "coroutine", "collectgarbage", "setmetatable", "getmetatable", "rawset", "_G", "print" } do
      local problem = problem_of("return " .. name)
      assert.matches(name, problem.message, 1, true)
    end
  end)

  it("has no string.dump, and no patterns where they are left out", function()
    assert.is_true(run "return string.dump == nil and ('x').dump == nil")
    local plain = { patterns = false }
    assert.is_true(run("return string.match == nil and ('x').gsub == nil", plain))
    assert.equal(2, run("return (('a.b'):find('.', 1))", plain))
    assert.is_true(run "return ('ab'):match('^a') == 'a'")
  end)

  it("leaves the methods of strings as they were", function()
    run("return error('x')", { patterns = false })
    assert.equal("a", ("ab"):match("a"))
  end)

  it("keeps a script from changing our libraries", function()
    run "string.format = nil table.concat = nil math.floor = nil return 1"
    assert.is_function(string.format)
    assert.equal("1", run "return string.format('%d', 1)")
  end)

  it("stops a script that never ends", function()
    assert.equal("ran too long, and was stopped", problem_of("while true do end").message)
  end)

  it("stops one that catches its own end", function()
    assert.equal("ran too long, and was stopped",
      problem_of("while true do pcall(function() while true do end end) end").message)
  end)

  it("stops one that asks for too much memory, at once or by doubling", function()
    local expected = "used too much memory, and was stopped"
    assert.equal(expected, problem_of("return ('x'):rep(1 << 30)").message)
    assert.equal(expected, problem_of("local s = 'x' while true do s = s .. s end").message)
  end)

  it("refuses bytecode", function()
    local code = string.dump(function() return 1 end)
    assert.matches("attempt to load a binary chunk", problem_of(code).message)
  end)

  it("does not wait", function()
    local sleep = require "orrery.core".time.sleep
    assert.is_truthy(problem_of("return sleep(0)", { extra = { sleep = sleep } }).message)
  end)
end)

describe("suggest", function()
  it("counts edits", function()
    assert.equal(0, suggest.distance("a", "a"))
    assert.equal(1, suggest.distance("requird", "required"))
    assert.equal(1, suggest.distance("prot", "port"))
    assert.equal(3, suggest.distance("", "abc"))
  end)

  it("names the nearest, or nothing", function()
    assert.equal("port", suggest.nearest("prot", { "ports", "port" }))
    assert.is_nil(suggest.nearest("x", { "required" }))
    assert.is_nil(suggest.nearest(("x"):rep(1000), { "required" }))
  end)
end)

describe("plugin", function()
  local dir
  before_each(function()
    dir = support.tmp()
    require "lfs".mkdir(dir .. "/types")
    require "lfs".mkdir(dir .. "/filters")
  end)

  it("finds what is built in", function()
    assert.matches("profiles/simple%-pds%.lua$", (plugin.find("profile", "simple-pds")))
    assert.matches("lua/types/pds%.lua$", (plugin.find("type", "pds")))
  end)

  it("prefers the one beside the stack file", function()
    local path = support.write(dir .. "/types/pds.lua", "return { port = 7 }")
    assert.equal(path, plugin.find("type", "pds", dir))
    assert.same({ port = 7 }, (plugin.read("type", "pds", dir)))
  end)

  it("takes a name with a slash as a path", function()
    local path = support.write(dir .. "/types/own.lua", "return {}")
    assert.equal(dir .. "/./types/own.lua", plugin.find("type", "./types/own.lua", dir))
    assert.equal(path, plugin.find("type", path, "/elsewhere"))
    assert.equal(dir .. "/types/own.lua", plugin.find("type", "types/own", dir))
  end)

  it("suggests the nearest name and lists what exists", function()
    local path, message = plugin.find("profile", "simple-pd")
    assert.is_nil(path)
    assert.matches('there is no profile "simple-pd"; did you mean "simple-pds"? (there is: ',
      message, 1, true)
  end)

  it("refuses names that climb", function()
    for _, name in ipairs { "", "..", ".hidden", "a..b", "a b", "a\0b", ("x"):rep(101) } do
      local path, message = plugin.find("type", name, dir)
      assert.is_nil(path)
      assert.matches("is no name of a type", message)
    end
  end)

  it("lists each name once, sorted, with its winning path", function()
    local own = support.write(dir .. "/types/pds.lua", "return {}")
    local names, path = {}, nil
    for _, item in ipairs(plugin.list("type", dir)) do
      names[#names + 1] = item.name
      if item.name == "pds" then path = item.path end
    end
    assert.equal(own, path)
    local sorted = { table.unpack(names) }
    table.sort(sorted)
    assert.same(sorted, names)
    local seen = {}
    for _, name in ipairs(names) do
      assert.is_nil(seen[name])
      seen[name] = true
    end
    assert.is_true(seen.process and seen.postgresql and seen.sqlite and seen.plc)
  end)

  it("bounds the functions of a filter, and gives them no patterns", function()
    support.write(dir .. "/filters/loop.lua", "return function() while true do end end")
    support.write(dir .. "/filters/find.lua", "return function(v) return (v:find('.')) end")
    support.write(dir .. "/filters/refuse.lua", "return function() error('not a number', 0) end")
    local ok, message = pcall((plugin.read("filter", "loop", dir)))
    assert.is_false(ok)
    assert.equal(dir .. "/filters/loop.lua:1: ran too long, and was stopped", message)
    assert.equal(2, plugin.read("filter", "find", dir)("a.b"))
    assert.has_error((plugin.read("filter", "refuse", dir)), "not a number")
  end)

  it("tells what a broken file is", function()
    support.write(dir .. "/types/bad.lua", "return {\n  port = \n}")
    local value, problem = plugin.read("type", "bad", dir)
    assert.is_nil(value)
    assert.equal(dir .. "/types/bad.lua", problem.file)
    assert.equal(3, problem.line)
    support.write(dir .. "/types/empty.lua", "local x = 1")
    value, problem = plugin.read("type", "empty", dir)
    assert.is_nil(value)
    assert.matches("returns nothing", problem.message)
  end)
end)
