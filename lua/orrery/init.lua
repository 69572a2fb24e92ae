--- orrery -- the public API: the namespaces of orrery.core and the runtime's own, each loaded when
-- it is first used.
local core = require "orrery.core"

-- Namespaces that are Lua, or add Lua to the engine's.
local NAMESPACES = {
  check = "orrery.public.check", discovery = "orrery.public.discovery",
  format = "orrery.public.format", script = "orrery.public.script",
  secret = "orrery.public.secret",
  stack = "orrery.public.stack", task = "orrery.public.task",
  template = "orrery.public.template", toml = "orrery.public.toml",
}

--- Every function of seed/ is a file there, and needs no other registration.
local function seed_names()
  local names = {}
  local folder = require("orrery.plugin").root() .. "/lua/orrery/seed"
  for _, entry in ipairs(core.file.list(folder) or {}) do
    local name = entry:match("^(%a+)%.lua$")
    if name and name:find("%u") then names[#names + 1] = name end
  end
  return names
end

--- The module that a name is, if it is one.
local function module_of(name)
  if NAMESPACES[name] then return NAMESPACES[name] end
  if type(name) ~= "string" or not name:find("^%l+%u%a+$") then return nil end
  local module = "orrery.seed." .. name
  return package.searchpath(module, package.path) and module
end

local M = {}
for name, namespace in pairs(core) do
  if not NAMESPACES[name] then M[name] = namespace end
end

return setmetatable(M, {
  __index = function(api, name)
    local module = module_of(name)
    if not module then return nil end
    local value = require(module)
    rawset(api, name, value)
    return value
  end,
  --- Whoever looks at everything (a REPL) gets everything.
  __pairs = function(api)
    for name in pairs(NAMESPACES) do local _ = api[name] end
    for _, name in ipairs(seed_names()) do local _ = api[name] end
    return next, api, nil
  end,
})
