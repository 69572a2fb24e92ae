---@meta
error("a meta file cannot be required")

--- JSON text and Lua values.
---
--- A map is a table with string keys, a list a table with keys 1..n. Lists that were read are
--- marked, so that an empty one is written as `[]` again; an unmarked empty table is written as
--- `{}`.
---@class orrery.json
---@field null lightuserdata what a JSON null reads as (it keeps its key, as nil cannot)
local json = {}

--- Reads one JSON value. Integers stay integers; one of more than 64 bits is an error, as is a key
--- that is there twice in a map, nesting deeper than `max_depth`, and text longer than 16 MiB.
---
--- ```lua
--- local state = assert(orrery.json.decode('{"ports": [3000]}'))
--- print(state.ports[1]) --> 3000
--- print(orrery.json.decode('{"ports": [3000}')) --> nil ... invalid
--- ```
---@param text string
---@param options? {max_depth?: integer} max_depth: 1 to 1000, 64 unless told
---@return any value or nil, "line:column: reason", "invalid"
---@return string? message
---@return string? code
function json.decode(text, options) end

--- Writes a value, the keys of each map sorted. Refused, with the path of the culprit: functions,
--- coroutines, objects (tables with `__tostring`, such as secrets), lists with holes, tables that
--- are list and map at once, nesting deeper than 64 (so every cycle), numbers that are not finite,
--- strings that are not UTF-8, and more than 64 MiB of text.
---
--- ```lua
--- local record = { port = 3000, tags = orrery.json.array {} }
--- print(orrery.json.encode(record)) --> {"port":3000,"tags":[]}
--- ```
---@param value any
---@param options? {indent?: integer, lossy?: boolean} indent: spaces per level, 0 to 8; one line
---  unless given. lossy: each byte that is not UTF-8 becomes U+FFFD, for what programs print
---@return string? text or nil, "path: reason", "invalid"
---@return string? message
---@return string? code
function json.encode(value, options) end

--- Marks a table as a list, so that it is written as `[]` when empty. Returns the same table.
---@param list? any[] a new table unless given; it may have no metatable of its own
---@return any[]
function json.array(list) end

--- Whether the value is a table marked as a list.
---@param value any
---@return boolean
function json.is_array(value) end
