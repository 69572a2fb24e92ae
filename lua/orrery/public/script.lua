--- orrery.script: bounded scripts, and where things are. Documented in lua/meta/script.lua.
local core = require "orrery.core"

local M = {}
for name, value in pairs(core.script) do M[name] = value end

--- In a stock Lua the engine does not know; the place of our files tells.
function M.root() return require("orrery.plugin").root() end

return M
