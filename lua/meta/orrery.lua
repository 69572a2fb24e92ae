---@meta
error("a meta file cannot be required")

---The engine: `require "orrery"` has the namespaces described here, each in a file of lua/meta, and
---what follows; each is loaded when it is first used. It is the same in `orrery script`, in the
---REPL and in a stock lua5.4, which finds what `make install` laid out under /usr/local by itself,
---and elsewhere after `eval "$(orrery version --paths)"`.
---
---What the world does wrong is returned: nil, a sentence, and a code ("timeout", "refused",
---"not_found", "exists", "invalid", "closed", "failed", "io" ...). Misuse is raised. What is marked
---`@async` waits: a task parks, the main thread drives the loop meanwhile.
---
---```lua
---print(orrery.version) --> 0.1.0
---print(orrery.file.read "no-such-file") --> nil cannot read ... not_found
---```
---@class orrery
---@field version string "0.1.0"
---@field check orrery.check
---@field discovery orrery.discovery
---@field dns orrery.dns
---@field file orrery.file
---@field format orrery.format
---@field graph orrery.graph
---@field http orrery.http
---@field json orrery.json
---@field log orrery.log
---@field net orrery.net
---@field process orrery.process
---@field script orrery.script
---@field secret orrery.secret
---@field stack orrery.stack
---@field task orrery.task
---@field template orrery.template
---@field terminal orrery.terminal
---@field text orrery.text
---@field time orrery.time
---@field toml orrery.toml
---@field yaml orrery.yaml
local orrery = {}

---What is open in the engine: for tests, which fail when they leave more than they found.
---@return {tasks: integer, handles: integer}
function orrery.live() end

---What a function that is a hook of a Lua stack gets first: `function(ctx, instance)`. It fails by
---error() or by returning nil and a message; it is ended at its deadline (hooks.timeout, 60 s).
---
---    hooks = { afterStart = function(ctx, instance)
---      local result = ctx.run({ "pdsadmin", "check", ("%d"):format(instance.port) }, 10)
---      if not result or result.code ~= 0 then return nil, "pdsadmin is not content" end
---    end }
---@class orrery.HookContext
---@field name string the hook's
---@field http orrery.http
---@field run orrery.HookRun runs a program as the service does: user, environment, folder
---@field sleep async fun(seconds: number)
---@field log fun(text: string) into the agent's log

---@alias orrery.HookRun async fun(argv: string[], timeout?: number): orrery.process.Result?, string

---What it gets second.
---@class orrery.HookInstance
---@field id string
---@field service string
---@field address string
---@field port? integer
---@field pid? integer once there is a process
---@field dirs {data: string, config: string, logs: string, package: string?}
