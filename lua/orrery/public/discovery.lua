--- orrery.discovery: the backends of the engine, and a stack's own chain of them. Documented in
-- lua/meta/discovery.lua.
local discovery = require("orrery.core").discovery

local M = {}
for name, value in pairs(discovery) do M[name] = value end

--- A kind and its options open one backend; a table of the keys of a stack's `discovery` opens what
-- they name, with fallbacks and watches.
function M.open(what, options)
  if type(what) ~= "table" then return discovery.open(what, options) end
  return require("orrery.discovery").open(what, options)
end

return M
