---@meta
error("a meta file cannot be required")

---Scripts that compute and may not wait: profiles, types, filters, templates. They see only the
---environment they are given, and are stopped when they use too much time or memory.
---
---```lua
---local fn = assert(orrery.script.load("return x + 1", "=example", { x = 1 }))
---print(orrery.script.call(0.1, fn)) --> true 2
---```
---@class orrery.script
local script = {}

---Compiles Lua source text (bytecode is refused; a first line that begins with # is skipped).
---@param text string at most 16 MiB
---@param chunkname string what errors call it: "@path" or "=name"
---@param env table its global variables
---@return function? fn
---@return string? message
---@return string? code "invalid"
function script.load(text, chunkname, env) end

---Calls `fn(...)` with bounds: `seconds` of CPU time (at most 60) and 256 MiB of memory. Any wait
---in it fails. An error that is a table is handed on as it is.
---@param seconds number
---@param fn function
---@param ... any
---@return true? ok
---@return any ... its results; or the error, and "failed"
function script.call(seconds, fn, ...) end

---The folder that holds lua/, profiles/ and templates/; nil in a host that is not the program.
---@return string?
function script.root() end

---Collects all garbage and gives the memory that is free back to the system. Takes milliseconds for
---each MiB in use: for a quiet moment after much work.
---
---    orrery.script.tidy()
function script.tidy() end

return script
