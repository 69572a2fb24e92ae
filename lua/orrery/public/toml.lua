--- orrery.toml: TOML as tables, and back. Documented in lua/meta/toml.lua.
local format = require "orrery.public.format"

local M = {}

function M.decode(text) return format.read(text, "toml") end

function M.encode(value) return format.write(value, "toml") end

return M
