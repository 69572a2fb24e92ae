---@meta
error("a meta file cannot be required")

---Stacks: read one, see its plan, bring it up, and handle its services. It is what the command line
---does, by the same code and the same agent: what a script brings up, `orrery status` shows.
---
---```lua
---local s <close> = assert(orrery.stack.load {
---  name = "demo", stateDir = "state",
---  services = {
---    web = { exec = { "sleep", "60" }, user = os.getenv "USER" },
---    app = { exec = { "sleep", "60" }, user = os.getenv "USER", dependencies = { "web" } },
---  },
---})
---print(table.concat(assert(s:plan()).order, " then ")) --> web then app
---assert(s:up())
---print(assert(s:service("app"):status()).state) --> running
---assert(s:down())
---```
---@class orrery.stack
local stack = {}

---A stack that was loaded. `local s <close> = ...` takes down what this script brought up in its
---background.
---@class orrery.stack.Stack
---@field name string
---@field file? string
---@field dir string its folder, or the current one
---@field config table everything that it says, with its profile, types and defaults, as
---`orrery config` shows it
local Stack = {}

---One service of a stack.
---@class orrery.stack.Service
---@field name string
---@field config table what the stack says of it
local Service = {}

---@alias orrery.stack.goal
---| '"healthy"' # running and passing; a oneshot: done
---| '"running"'
---| '"stopped"'

---@class orrery.stack.Problem
---@field path? string "services.pds.port"
---@field message string
---@field file? string
---@field line? integer

---The whole state, as `orrery status --json` prints it.
---@class orrery.stack.State
---@field stack string
---@field seq integer of the last event
---@field settled boolean nothing is on its way
---@field good boolean everything is as it should be
---@field agent {pid: integer, startedAt: number, stopping: boolean}
---@field services orrery.stack.ServiceState[] in start order

---@class orrery.stack.ServiceState
---@field name string
---@field state string "stopped", "waiting", "blocked", "starting", "running", "stopping",
---"backoff", "failed" or "done"
---@field health string "unknown", "passing", "failing" or "flapping"
---@field reason? string
---@field url? string
---@field instances {id: string, pid: integer?, port: integer?, state: string, health: string}[]

---@class orrery.stack.Verdict
---@field service string
---@field instance string
---@field check string its name
---@field role string "ready", "live" or "report"
---@field ok boolean
---@field message string
---@field latency? number seconds

---Reads a stack: a file, a folder with one, the name of a profile, or the stack itself as a table
---(secrets are `orrery.secret.new{...}` there). Nothing is written or started.
---@param target? string|table the current folder unless given
---@param options? {node?: string, set?: table<string, any>, dir?: string} set: as --set,
---`{["services.pds.port"] = 3001}`; dir: of a table, where its relative paths begin
---@return orrery.stack.Stack?
---@return string? message all problems in one line
---@return string? code "invalid"
---@return orrery.stack.Problem[]? problems
function stack.load(target, options) end

---Whether a stack is right: its keys, its graph and its templates.
---@async
---@param target? string|table
---@param options? {node: string, set: table<string, any>, dir: string}
---@return true?
---@return string? message
---@return string? code "invalid"
---@return orrery.stack.Problem[]? problems
function stack.validate(target, options) end

---As stack.validate, of this one.
---@async
---@return true?
---@return string? message
---@return string? code "invalid"
---@return orrery.stack.Problem[]? problems
function Stack:validate() end

---Reads its file again.
---@return table? config
---@return orrery.stack.Problem[]? problems
function Stack:again() end

---In which order it starts and stops, and what waits for what.
---@param options? {services: string|string[]} services: only those and what they need
---@return {order: string[], waves: string[][], stop: string[], text: string, services: table}? plan
---@return string? message
---@return string? code "invalid"
function Stack:plan(options) end

---Its graph (orrery.graph), to ask and to change.
---@return orrery.graph.Graph
function Stack:graph() end

---Its discovery, with fallbacks: register, lookup, watch(service) and what else a backend has.
---@return orrery.backend?
---@return string? message
---@return string? code
function Stack:discovery() end

---Runs every health check of the services once, side by side.
---@async
---@param services? string|string[] all unless given
---@return orrery.stack.Verdict[]
function Stack:check(services) end

---The files of a service as they would be written; secrets are `***`.
---@async
---@param service string
---@return {path: string, text: string}[]?
---@return string? message
---@return string? code "invalid"
function Stack:render(service) end

---Starts services with all they need, and waits until nothing is on its way. If an agent runs the
---stack, it is told; else this script becomes the agent, which goes on beside it, or with
---`detach`, starts one that outlives it. What a script's own agent runs ends with the script, and
---moves on whenever the script waits. SIGINT and SIGTERM bring it down.
---@async
---@param options? {services: string|string[], detach: boolean, timeout: number, wait: boolean}
---services: all unless given; timeout: seconds, 1800; wait: false returns at once
---@return orrery.stack.State?
---@return string? message who is not well, and why
---@return string? code "invalid", "failed" (the state is the fourth result), "timeout", "denied"
function Stack:up(options) end

---Stops everything, dependents first, and the agent. That nothing runs is fine.
---@async
---@param options? {timeout: number} seconds, 300
---@return true?
---@return string? message
---@return string? code "timeout", "denied"
function Stack:down(options) end

---Starts services and what they need, and waits until they are at rest.
---@async
---@param services? string|string[] all unless given
---@param options? {timeout: number} seconds, 300
---@return orrery.stack.State?
---@return string? message
---@return string? code "refused": no agent runs; "failed", "timeout"
function Stack:start(services, options) end

---Stops services and those that require them, and waits.
---@async
---@param services? string|string[] all unless given
---@param options? {timeout: number} seconds, 300
---@return orrery.stack.State?
---@return string? message
---@return string? code
function Stack:stop(services, options) end

---Restarts services, and waits until they are at rest.
---@async
---@param services? string|string[] all unless given
---@param options? {timeout: number} seconds, 300
---@return orrery.stack.State?
---@return string? message
---@return string? code
function Stack:restart(services, options) end

---Has the agent take over what differs in the stack's file. Returns when it took it; the services
---of `files` then have theirs rendered again, which events after `seq` tell about.
---@async
---@return {services: string[], files: string[], seq: integer, changes: table}?
---@return string? message
---@return string? code "invalid": nothing has changed
function Stack:reload() end

---The state now.
---@async
---@return orrery.stack.State?
---@return string? message
---@return string? code "refused": no agent runs
function Stack:status() end

---Why a service is as it is, down to the root cause (`orrery why`).
---@async
---@param service string
---@return {service: string, fine: boolean, instances: table[]}?
---@return string? message
---@return string? code
function Stack:why(service) end

---What happens, one event after another, until the agent ends or (with `timeout`) nothing happened
---for so long.
---
---    for event in assert(s:events { since = 0 }) do print(event.service, event.to) end
---@async
---@param options? {since: integer, follow: boolean, timeout: number} since: events after that
---number, 0; follow: false gives only those that were
---@return fun(): table? next nil, message, code: as for the call
---@return any
---@return any
---@return any closing closes the stream, as a `for` does by itself
function Stack:events(options) end

---Waits until services are where they shall be. Ends early when one failed for good.
---@async
---@param services? string|string[] all unless given
---@param options? {state: orrery.stack.goal, timeout: number} "healthy"; seconds, 60
---@return orrery.stack.State|true?
---@return string? message
---@return string? code "timeout", "failed", "refused"
function Stack:wait(services, options) end

---One of its services. A name that the stack has not raises.
---@param name string
---@return orrery.stack.Service
function Stack:service(name) end

---As stack:start of this one.
---@async
---@param options? {timeout: number}
---@return orrery.stack.State?
---@return string? message
---@return string? code
function Service:start(options) end

---As stack:stop of this one.
---@async
---@param options? {timeout: number}
---@return orrery.stack.State?
---@return string? message
---@return string? code
function Service:stop(options) end

---As stack:restart of this one.
---@async
---@param options? {timeout: number}
---@return orrery.stack.State?
---@return string? message
---@return string? code
function Service:restart(options) end

---As stack:wait for this one.
---@async
---@param options? {state: orrery.stack.goal, timeout: number}
---@return orrery.stack.State|true?
---@return string? message
---@return string? code
function Service:wait(options) end

---Its part of the state.
---@async
---@return orrery.stack.ServiceState?
---@return string? message
---@return string? code
function Service:status() end

---As stack:why.
---@async
---@return {service: string, fine: boolean, instances: table[]}?
---@return string? message
---@return string? code
function Service:why() end

---As stack:check of this one.
---@async
---@return table[]
function Service:check() end

---As stack:render.
---@async
---@return {path: string, text: string}[]?
---@return string? message
---@return string? code
function Service:render() end

return stack
