-- The manual, lua/meta, has every name of the API, and the API every name of the manual.
local support = require "support"
local core = require "orrery.core"
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
  local check <close> = core.check.start { strategy = "file", path = dir }
  local backend <close> = assert(core.discovery.open("file", { filePath = dir }))
  local server <close> = assert(core.http.serve { path = path })
  local client = core.task.spawn(function()
    local stream <close> = assert(core.http.stream { url = "http://x/", unixSocket = path })
    return stream.status
  end)
  local out <close> = server:accept():stream(200)
  assert.equal(200, client:join(10))
  assert(core.process.spawn { argv = { "true" } }):wait()
  core.graph.new():solve()
  return { watch, lock, signals, notify, check, backend, out,
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

-- Objects of the runtime, whose classes are tables of their own.
local function runtime_classes()
  local stack = assert(orrery.stack.load("simple-pds"))
  return {
    ["stack.Stack"] = methods_of(getmetatable(stack)),
    ["stack.Service"] = methods_of(getmetatable(stack:service("pds"))),
    ["secret.Store"] = methods_of(getmetatable(orrery.secret.open("/nowhere"))),
    ["seed_templates.ConfigTemplate"] = methods_of(getmetatable(
      orrery.mkConfigTemplate { name = "x", template = "{}" })),
    ["seed_templates.ConfigurationTemplating"] = methods_of(getmetatable(
      orrery.mkConfigurationTemplating { services = {} })),
    ["seed_templates.LoadBalancer"] = methods_of(getmetatable(
      orrery.generateLoadBalancerConfig({}, {}))),
  }
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

  it("is not code", function()
    for _, file in ipairs(core.file.list(support.root .. "/lua/meta")) do
      local ok, message = pcall(dofile, support.root .. "/lua/meta/" .. file)
      assert.is_false(ok)
      assert.matches("a meta file cannot be required", message, 1, true)
    end
  end)
end)
