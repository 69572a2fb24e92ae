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

-- Functions with a file each in seed/.
local SEED = {
  "mkServiceDiscovery", "mkServiceCoordination", "mkDeploymentProfile", "generateDiscoveryConfig",
  "mkDependency", "mkDependencyGraph", "mkDependencyManagement", "mkHealthCheck",
  "generateDependencyDocs", "generateCoordinationScript",
}

local modules = {}
for name, module in pairs(NAMESPACES) do modules[name] = module end
for _, name in ipairs(SEED) do modules[name] = "orrery.seed." .. name end

local M = {}
for name, namespace in pairs(core) do
  if not modules[name] then M[name] = namespace end
end

return setmetatable(M, {
  __index = function(api, name)
    local module = modules[name]
    if not module then return nil end
    local value = require(module)
    rawset(api, name, value)
    return value
  end,
  --- Whoever looks at everything (a REPL) gets everything.
  __pairs = function(api)
    for name in pairs(modules) do local _ = api[name] end
    return next, api, nil
  end,
})
