---@meta
error("a meta file cannot be required")

---The engine: `require "orrery"` has the namespaces described in the files beside this one, and
---what follows. In a stock Lua 5.4 it is the C module `orrery.core`.
---
---What the world does wrong is returned: nil, a sentence, and a code ("timeout", "refused",
---"not_found", "exists", "invalid", "closed", "failed", "io" ...). Misuse is raised. What is marked
---`@async` waits: a task parks, the main thread drives the loop meanwhile.
---
---    local orrery = require "orrery"
---    print(orrery.version, orrery.process.hostname())
---@class orrery
---@field version string "0.1.0"
---@field check orrery.check
---@field discovery orrery.discovery
---@field dns orrery.dns
---@field file orrery.file
---@field graph orrery.graph
---@field http orrery.http
---@field json orrery.json
---@field log orrery.log
---@field net orrery.net
---@field process orrery.process
---@field script orrery.script
---@field task orrery.task
---@field time orrery.time
---@field yaml orrery.yaml
local orrery = {}

---What is open in the engine: for tests, which fail when they leave more than they found.
---@return {tasks: integer, handles: integer}
function orrery.live() end
