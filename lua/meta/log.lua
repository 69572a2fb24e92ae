---@meta
error("a meta file cannot be required")

--- The program's own log: one line per call, `<time> <level> <message> key=value ...`, to standard
--- error or a file. Logging never raises and never waits. Line breaks and control characters are
--- escaped, and lines are cut at 8 KiB. An object's `__tostring` is used, so a secret shows as
--- `***`.
---@class orrery.log
local log = {}

--- Shown only after `set_level "debug"`.
---@param message any
---@param fields? table<string, any> at most 32, written in the order of their names
function log.debug(message, fields) end

--- What happened.
---
--- ```lua
--- assert(orrery.log.set_file "example.log")
--- orrery.log.info("registered", { service = "pds", port = 3000 })
--- print(assert(orrery.file.read "example.log")) --> ... info registered port=3000 service=pds
--- ```
---@param message any
---@param fields? table<string, any>
function log.info(message, fields) end

--- What went wrong and could be borne.
---@param message any
---@param fields? table<string, any>
function log.warn(message, fields) end

--- What went wrong and could not.
---@param message any
---@param fields? table<string, any>
function log.error(message, fields) end

--- Drops lines below this level ("info" at first).
---@param level "debug"|"info"|"warn"|"error"
function log.set_level(level) end

--- Logs to a file from now on, appending; without a path to standard error again.
---@param path? string
---@return true? ok or nil, message, code; the log then stays where it was
---@return string? message
---@return string? code
function log.set_file(path) end

return log
