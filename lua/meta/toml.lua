---@meta
error("a meta file cannot be required")

---TOML 1.0.
---
---```lua
---print(assert(orrery.toml.decode "[server]\nport = 3000\n").server.port) --> 3000
---```
---@class orrery.toml
local toml = {}

---Reads a text. Dates and times are strings.
---@param text string at most 16 MiB
---@return table? value
---@return string? message
---@return string? code "invalid"
function toml.decode(text) end

---Writes a map.
---@param value table
---@return string? text
---@return string? message
---@return string? code "invalid"
function toml.encode(value) end

return toml
