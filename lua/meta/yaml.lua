---@meta
error("a meta file cannot be required")

--- YAML text and Lua values, the same values as those of orrery.json.
---@class orrery.yaml
local yaml = {}

--- Reads one YAML document. Scalars follow the core schema of YAML 1.2 (`yes`, `on` and `1_000` are
--- strings; `0o644` and `0x1F` are numbers), with one difference: a number with a leading zero,
--- such as `0640`, stays a string, because YAML 1.1 and 1.2 read different numbers there. Keys are
--- always strings. null and an empty document read as `orrery.json.null`. Each use of an anchor is
--- a copy.
---
--- Errors: a key twice, merge keys (`<<`), tags outside the core schema, whole numbers of more than
--- 64 bits, a second document, nesting deeper than 64, more than 500000 values (an alias counts
--- with all it stands for), more than 16 MiB of text.
---
--- ```lua
--- local stack = assert(orrery.yaml.decode("services:\n  pds: {port: 3000}\n"))
--- print(stack.services.pds.port) --> 3000
--- ```
---@param text string
---@return any value or nil, "line:column: reason", "invalid"
---@return string? message
---@return string? code
function yaml.decode(text) end

--- Writes a value in block style, keys sorted. Strings that any YAML reader could take for
--- something else (`yes`, `0640`, `1:30`, `~`) are quoted. Refuses what json.encode refuses, except
--- infinities.
---
---     orrery.yaml.encode({name = "pds", tags = {"atproto"}})
---@param value any
---@return string? text or nil, "path: reason", "invalid"
---@return string? message
---@return string? code
function yaml.encode(value) end

return yaml
