--- orrery -- the public API: the namespaces of orrery.core and the runtime's modules.
local core = require "orrery.core"

local M = {}
for name, namespace in pairs(core) do M[name] = namespace end
return M
