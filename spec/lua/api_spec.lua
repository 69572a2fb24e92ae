-- The manual, lua/meta, has every name of the API, and the API every name of the manual.
local support = require "support"
local core = require "orrery.core"
local meta = require "orrery.docs.meta"
local orrery = require "orrery"

-- Classes of handles: the metatable's name in the registry, and the class in the manual as
-- <file>.<Class>. No function makes both the key and the value the same word.
local CLASSES = {
  ["orrery.backend"] = "discovery.Backend",
  ["orrery.check"] = "check.Handle",
  ["orrery.graph.handle"] = "graph.Graph",
  ["orrery.health"] = "check.Health",
  ["orrery.http.out"] = "http.Out",
  ["orrery.http.request"] = "http.Request",
  ["orrery.http.server"] = "http.Server",
  ["orrery.http.stream"] = "http.Stream",
  ["orrery.lock"] = "file.Lock",
  ["orrery.process"] = "process.Process",
  ["orrery.queue"] = "task.Queue",
  ["orrery.reader"] = "terminal.Reader",
  ["orrery.notify"] = "process.NotifySocket",
  ["orrery.signals"] = "process.Signals",
  ["orrery.task"] = "task.Task",
  ["orrery.watch"] = "file.Watch",
}
-- Never in a script's hands: they only free what a call owns.
local INTERNAL = { ["orrery.graph"] = true, ["orrery.scratch"] = true }

local function add(names, group, name)
  names[group] = names[group] or {}
  names[group][name] = true
end

-- {<group> = {<name> = true}}: a group is a namespace, <file>.<Class>, or "orrery" for the rest.
local function documented()
  local names = {}
  for _, file in ipairs(assert(core.file.list(support.root .. "/lua/meta"))) do
    local namespace = file:match("^(.*)%.lua$")
    for line in io.lines(support.root .. "/lua/meta/" .. file) do
      local owner, mark, name = line:match("^function ([%w_]+)([.:])([%w_]+)%(")
      if mark == "." then add(names, owner, name) end
      if mark == ":" then add(names, namespace .. "." .. owner, name) end
    end
  end
  return names
end

local function live_namespaces()
  local names = {}
  for namespace, value in pairs(orrery) do
    if type(value) == "function" then add(names, "orrery", namespace) end
    for name, member in pairs(type(value) == "table" and value or {}) do
      if type(member) == "function" then add(names, namespace, name) end
    end
  end
  return names
end

-- A metatable is made with the first handle of its class.
local function make_one_of_each(dir)
  local path = dir .. "/api.sock"
  local watch <close> = assert(core.file.watch(dir))
  local lock <close> = assert(core.file.lock(dir .. "/lock"))
  local signals <close> = core.process.signals { "WINCH" }
  local notify <close> = assert(core.process.notify_socket(dir .. "/notify"))
  local reader <close> = assert(core.terminal.reader())
  local check <close> = core.check.start { strategy = "file", path = dir }
  local backend <close> = assert(core.discovery.open("file", { filePath = dir }))
  local server <close> = assert(core.http.serve { path = path })
  local client = core.task.spawn(function()
    local stream <close> = assert(core.http.stream { url = "http://x/", unixSocket = path })
    return stream.status
  end)
  local out <close> = server:accept():stream(200)
  assert.equal(200, client:join(50))
  assert(core.process.spawn { argv = { "true" } }):wait()
  core.graph.new():solve()
  return { watch, lock, signals, notify, reader, check, backend, out,
    core.check.health(), core.task.queue() }
end

local function methods_of(class)
  local index = class.__index
  local methods = class
  if type(index) == "function" then
    for i = 1, 255 do
      local name, value = debug.getupvalue(index, i)
      if not name then break end
      if type(value) == "table" then methods = value end
    end
  end
  local names = {}
  for name, value in pairs(methods) do
    if type(value) == "function" and name:sub(1, 2) ~= "__" then names[name] = true end
  end
  return names
end

local function live_classes()
  local names = {}
  for key, class in pairs(debug.getregistry()) do
    if type(key) == "string" and key:find("^orrery%.") and type(class) == "table"
      and not INTERNAL[key] then
      names[CLASSES[key] or key .. ", a class that the manual has not"] = methods_of(class)
    end
  end
  return names
end

local tables

-- Objects of the runtime, whose classes are tables of their own.
local function runtime_tables()
  if tables then return tables end
  local stack = assert(orrery.stack.load("simple-pds"))
  tables = {
    ["stack.Stack"] = getmetatable(stack),
    ["stack.Service"] = getmetatable(stack:service("pds")),
    ["secret.Store"] = getmetatable(orrery.secret.open("/nowhere")),
    ["seed_templates.ConfigTemplate"] = getmetatable(
      orrery.mkConfigTemplate { name = "x", template = "{}" }),
    ["seed_templates.ConfigurationTemplating"] = getmetatable(
      orrery.mkConfigurationTemplating { services = {} }),
    ["seed_templates.LoadBalancer"] = getmetatable(orrery.generateLoadBalancerConfig({}, {})),
  }
  return tables
end

local function runtime_classes()
  local classes = {}
  for name, class in pairs(runtime_tables()) do classes[name] = methods_of(class) end
  return classes
end

local function merged(...)
  local all = {}
  for _, names in ipairs { ... } do
    for group, members in pairs(names) do all[group] = members end
  end
  return all
end

-- "group.name" of every name in `all` that `others` has not.
local function only_in(all, others)
  local names = {}
  for group, members in pairs(all) do
    for name in pairs(members) do
      if not (others[group] or {})[name] then names[#names + 1] = group .. "." .. name end
    end
  end
  table.sort(names)
  return names
end

-- ---- parameters and types ----

local function blocks_of_manual()
  local all = {}
  for _, file in ipairs(assert(core.file.list(support.root .. "/lua/meta"))) do
    for _, block in ipairs(meta.read(support.read(support.root .. "/lua/meta/" .. file))) do
      block.file = file:match("^(.*)%.lua$")
      all[#all + 1] = block
    end
  end
  return all
end

local function functions_of_manual()
  local list = {}
  for _, block in ipairs(blocks_of_manual()) do
    if block.kind == "function" then
      block.shown = ("lua/meta/%s.lua:%d: %s"):format(block.file, block.line, block.name)
      list[#list + 1] = block
    end
  end
  return list
end

-- The types that are described, and those that are named, each with a place.
local function types_of_manual()
  local defined, used = {}, {}
  for _, block in ipairs(blocks_of_manual()) do
    if block.kind == "class" or block.kind == "alias" then defined[block.name] = true end
    for _, list in ipairs { block.fields, block.params, block.returns, block.values or {} } do
      for _, item in ipairs(list) do
        for name in item.type:gmatch("orrery%.[%w_.]+") do
          used[name] = ("%s.lua:%d"):format(block.file, block.line)
        end
      end
    end
    for _, parent in ipairs(block.parents or {}) do used[parent] = block.name end
  end
  return defined, used
end

-- The function of the running program that a block describes, unless it is a method of a handle.
local function live_function(fn)
  if fn.method then
    local class = runtime_tables()[fn.file .. "." .. fn.variable]
    return class and class[fn.name]
  end
  local owner = fn.owner == "orrery" and orrery or orrery[(fn.owner or ""):match("%.(.*)$")]
  return owner and owner[fn.name]
end

local function is_required(param)
  return not param.optional and param.name ~= "..." and param.type ~= "any"
end

local SAMPLES = { number = 1, integer = 1, boolean = true, ["function"] = function() end }

-- Values for the first `count` parameters; paths lie in the test's folder.
local function samples(fn, count, dir)
  local values = {}
  for i = 1, count do
    local kind = fn.params[i].type:match("^[%w_]+")
    if kind == "string" then values[i] = dir .. "/sample"
    elseif SAMPLES[kind] then values[i] = SAMPLES[kind]
    else values[i] = {} end
  end
  return values
end

describe("the manual in lua/meta", function()
  local live, manual

  before_each(function()
    make_one_of_each(support.tmp())
    live, manual = merged(live_namespaces(), live_classes(), runtime_classes()), documented()
  end)

  it("has every function and method", function()
    assert.same({}, only_in(live, manual))
  end)

  it("has no function or method that does not exist", function()
    assert.same({}, only_in(manual, live))
  end)

  it("names only types that it describes", function()
    local defined, used = types_of_manual()
    local unknown = {}
    for name, where in pairs(used) do
      if not defined[name] then unknown[#unknown + 1] = where .. ": " .. name end
    end
    assert.same({}, unknown)
  end)

  it("has each type on one line, as editors read them", function()
    for _, block in ipairs(blocks_of_manual()) do
      for _, list in ipairs { block.fields, block.params, block.returns, block.values or {} } do
        for _, item in ipairs(list) do
          local open = select(2, item.type:gsub("[({%[<]", ""))
          local closed = select(2, item.type:gsub("[)}%]>]", ""))
          assert.equal(open, closed, ("lua/meta/%s.lua:%d: %s"):format(block.file, block.line,
            item.type))
        end
      end
    end
  end)

  it("has the parameters of each function, in their order", function()
    for _, fn in ipairs(functions_of_manual()) do
      local names = {}
      for i, param in ipairs(fn.params) do names[i] = param.name end
      assert.same(fn.arguments, names, fn.shown)
    end
  end)

  it("says in a sentence what each function does", function()
    for _, fn in ipairs(functions_of_manual()) do
      assert.is_true(#fn.doc > 0 and fn.doc[1]:find("^%S") ~= nil, fn.shown .. " has no sentence")
    end
  end)

  it("counts the parameters of functions written in Lua as they do", function()
    local counted = 0
    for _, fn in ipairs(functions_of_manual()) do
      local value = live_function(fn)
      local info = value and debug.getinfo(value, "Su")
      if info and info.what ~= "C" then
        counted = counted + 1
        local own = fn.method and 1 or 0
        local variadic = fn.arguments[#fn.arguments] == "..."
        assert.equal(#fn.arguments + own - (variadic and 1 or 0), info.nparams, fn.shown)
        assert.equal(variadic, info.isvararg, fn.shown)
      end
    end
    assert.is_true(counted > 20)
  end)

  it("marks what the engine cannot do without as required", function()
    local counted = 0
    local dir = support.tmp()
    for _, fn in ipairs(functions_of_manual()) do
      local value = not fn.method and live_function(fn)
      if value and debug.getinfo(value, "S").what == "C" then
        for missing, param in ipairs(fn.params) do
          if is_required(param) then
            counted = counted + 1
            local ok = pcall(value, table.unpack(samples(fn, missing - 1, dir)))
            assert.is_false(ok, ("%s does without its parameter %s"):format(fn.shown, param.name))
          end
        end
      end
    end
    assert.is_true(counted > 20)
  end)

  it("is not code", function()
    for _, file in ipairs(core.file.list(support.root .. "/lua/meta")) do
      local ok, message = pcall(dofile, support.root .. "/lua/meta/" .. file)
      assert.is_false(ok)
      assert.matches("a meta file cannot be required", message, 1, true)
    end
  end)
end)
