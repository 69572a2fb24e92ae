---@meta
error("a meta file cannot be required")

---File formats by name: json, yaml, toml, env and ini, and each file of formats/. A name may have a
---style behind a colon: "env:docker", "env:systemd", "ini:plain".
---
---```lua
---print(orrery.format.read("PORT=3000\n", "env").PORT) --> 3000
---print(assert(orrery.format.write({ server = { host = "::1" } }, "ini")))
-----> [server]
-----> host = ::1
---```
---@class orrery.format
local format = {}

---Reads a text.
---@param text string
---@param name string
---@param dir? string a stack's folder, whose formats/ come first
---@return any value
---@return string? message with its line, where the format tells it
---@return string? code "invalid"; "not_found": there is no such format
function format.read(text, name, dir) end

---Writes a value, with the escaping of the format.
---@param value any
---@param name string
---@param dir? string
---@return string? text
---@return string? message
---@return string? code "invalid", "not_found"
function format.write(value, name, dir) end

---The format that a file's name says it has.
---@param path string
---@return string? name
function format.of_path(path) end

return format
