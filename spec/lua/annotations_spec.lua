-- What an editor makes of our annotations: emmylua_check (`cargo install emmylua_check`), which
-- shares its code with the EmmyLua language server, has nothing to say against what ships and what
-- the manual shows, and finds mistakes in a stack. Without it these are skipped.
local support = require "support"
local core = require "orrery.core"
local examples = require "support.examples"

local PROGRAM = "emmylua_check"
local HOW = PROGRAM .. " is not installed: cargo install " .. PROGRAM

local function installed()
  local result = core.process.run { argv = { PROGRAM, "--version" }, timeout = 30,
    env = { PATH = os.getenv "PATH" } }
  return result ~= nil and result.code == 0
end

local function test(name, fn)
  it(name, function()
    if not installed() then return pending(HOW) end -- luacheck: ignore
    fn()
  end)
end

--- The messages about files of {<name> = text}, each as "name: message".
local function problems(files, disabled)
  local dir = support.tmp()
  local config = { runtime = { version = "Lua5.4" },
    diagnostics = { disable = core.json.array(disabled or {}) },
    workspace = { library = core.json.array { support.root .. "/lua/meta" } } }
  support.write(dir .. "/.emmyrc.json", core.json.encode(config))
  for name, text in pairs(files) do support.write(dir .. "/" .. name, text) end
  local result = assert(core.process.run { timeout = 120, maxOutput = 4 * 1024 * 1024,
    argv = { PROGRAM, dir, "-f", "json", "--severity", "warn" },
    env = { PATH = os.getenv "PATH" } })
  local list = {}
  for _, file in ipairs(assert(core.json.decode(result.stdout))) do
    for _, problem in ipairs(file.diagnostics) do
      list[#list + 1] = ("%s:%d: %s"):format(file.file:match("[^/]+$"),
        problem.range.start.line + 1, problem.message)
    end
  end
  return list
end

-- A file that returns a table, with the type of that table told.
local function typed(kind, text)
  local result, count = text:gsub("\nreturn {", "\n---@type " .. kind .. "\nlocal it = {")
  return count == 1 and result .. "\nreturn it\n" or text
end

local function shipped(folder, kind)
  local files = {}
  for _, name in ipairs(assert(core.file.list(support.root .. "/" .. folder))) do
    if name:find("%.lua$") then
      files[name] = typed(kind, support.read(support.root .. "/" .. folder .. "/" .. name))
    end
  end
  return files
end

describe("an editor's checker", function()
  test("has nothing against the profiles", function()
    assert.same({}, problems(shipped("profiles", "orrery.Stack")))
  end)

  test("has nothing against the types", function()
    assert.same({}, problems(shipped("lua/types", "orrery.Service")))
  end)

  test("has nothing against the examples of plug-ins and scripts", function()
    local files = shipped("profiles/examples", "orrery.Stack")
    for folder, kind in pairs { types = "orrery.Service", checks = "orrery.CheckPlugin",
      strategies = "orrery.StrategyPlugin" } do
      for name, text in pairs(shipped("profiles/examples/" .. folder, kind)) do
        files[folder .. "_" .. name] = text
      end
    end
    -- It does not see that a function changes a variable around it.
    assert.same({}, problems(files, { "await-in-sync", "unnecessary-if" }))
  end)

  test("has nothing against the stack of the README", function()
    local text = support.read(support.root .. "/README.md"):match("```lua\n(.-)```")
    assert.same({}, problems { ["stack.lua"] = typed("orrery.Stack", "\n" .. text) })
  end)

  test("has nothing against the examples of the manual", function()
    local files, count = {}, 0
    for _, file in ipairs(assert(core.file.list(support.root .. "/lua/meta"))) do
      for _, example in ipairs(examples.of(file:match("^(.*)%.lua$"))) do
        count = count + 1
        files[("%s_%d.lua"):format(file:match("^(.*)%.lua$"), example.line)] =
          '---@type orrery\nlocal orrery = require "orrery"\n' .. example.code
      end
    end
    assert.is_true(count > 3)
    -- Everything may wait; what an example asks for is there.
    assert.same({}, problems(files, { "await-in-sync", "need-check-nil", "param-type-mismatch" }))
  end)

  test("finds the mistakes of a stack", function()
    local function found(services)
      local text = ("---@type orrery.Stack\nlocal it = { services = { a = %s } }\nreturn it\n")
        :format(services)
      return #problems { ["stack.lua"] = text } > 0
    end
    assert.is_false(found '{ exec = { "x" }, port = 80, healthCheck = { interval = 5 } }')
    assert.is_true(found '{ exec = "x" }')
    assert.is_true(found '{ port = true }')
    assert.is_true(found '{ healthCheck = { interval = "soon" } }')
    assert.is_true(found '{ restart = { policy = "alway" } }')
    assert.is_true(found '{ exec = { secret { file = "/x" } } }')
    assert.is_false(found '{ hooks = { afterStart = function(ctx) ctx.sleep(1) end } }')
    assert.is_true(found '{ hooks = { afterStart = function(ctx) ctx.slep(1) end } }')
  end)

  test("finds the mistakes of a profile", function()
    local text = "---@param stack orrery.StackFacts\n---@return orrery.Stack\n"
      .. "return function(stack)\n  return { domain = 5, name = stack.nmae }\nend\n"
    assert.equal(2, #problems { ["mine.lua"] = text })
  end)
end)
