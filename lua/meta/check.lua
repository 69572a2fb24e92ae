---@meta
error("a meta file cannot be required")

--- Health checks: http, tcp, command, file and systemd, on a schedule or once.
---
--- A verdict's message says why: `GET http://127.0.0.1:3000/xrpc/_health: connection refused`,
--- `... answered 503, expected 200`, `exit code 2: no such database`. All times are seconds.
---
--- ```lua
--- local verdict = orrery.check.run { strategy = "file", path = "/etc/no-such-file" }
--- print(verdict.ok, verdict.message) --> false ...no-such-file...
--- ```
---@class orrery.check
local check = {}

---@class orrery.check.spec
---@field strategy? string "http", "tcp", "command", "file", "systemd", or a file of checks/
---@field run? orrery.check.Run a check in Lua, instead of a strategy
---@field options? table what a check of checks/ is told
---@field interval? number from the start of one try to the next, at least 0.01; 10 unless told
---@field timeout? number of one try; 30 unless told
---@field rise? integer passes in a row that make it passing; 1 unless told
---@field fall? integer failures in a row that make it failing; 3 unless told
---@field startPeriod? number failures within it do not count, until the first pass; 0 unless told
---@field backoff? '"exponential"'|'"linear"'|'"constant"' how tries are spaced until it
---passes: 0.1, 0.2, 0.4 s ... (exponential, unless told), 0.1, 0.2, 0.3 s ..., always the interval
---
---@field url? string http: the address; or its parts:
---@field host? string http, tcp: "127.0.0.1" unless told
---@field port? integer http, tcp
---@field scheme? string http: "http" unless told
---@field endpoint? string http: a path; there is no default one
---@field method? string http: GET, or POST if there is a body
---@field headers? table<string, string> http
---@field body? string http
---@field expectedStatus? integer|string|(integer|string)[] http: 200, "200-299" or a list; 200
---unless told
---@field expectBody? string http: must be in the body
---@field expectJson? table<string, any> http: JSON pointer = value, such as `{["/status"] = "ok"}`
---@field tls? orrery.check.tls http; tcp: shakes hands first (`{}`: as told below)
---@field followRedirects? boolean http: at most 5
---@field maxBytes? integer http: a longer body fails; 1 MiB unless told
---@field reuse? boolean http: may use a kept connection (one may answer after its listener is gone)
---@field unixSocket? string http: connect to this socket
---
---@field send? string tcp
---@field expect? string tcp: must come within the first 64 KiB
---
---@field command? string[]|string command: program and arguments, or a line for the shell
---@field expectedExit? integer command: 0 unless told
---@field env? table<string, string> command: on top of a clean environment
---@field cwd? string command
---@field user? string command: runs as; file: for whom `writable` asks
---
---@field path? string file: a file or folder that must exist
---@field contains? string file: text within its first 64 MiB
---@field maxAge? number file: since its last change
---@field minSize? integer file: bytes
---@field writable? boolean file: by `user`, or by us
---@field minFree? integer file: free bytes on its file system
---
---@field unit? string systemd: "nginx.service"; "nginx" is the same. The system's systemd is asked
---over D-Bus ($DBUS_SYSTEM_BUS_ADDRESS, else the usual socket), and a stopped unit is found too
---@field expectedState? string|string[] systemd: "active" unless told, which a unit that reloads is
---too; "inactive", "failed", "activating", "deactivating", "reloading", "maintenance", or a list

---@class orrery.check.tls
---@field ca? string a PEM file of authorities
---@field cert? string a PEM file
---@field key? string a PEM file
---@field serverName? string the name that the certificate must have, instead of the URL's
---@field verify? boolean true unless told

---@class orrery.check.verdict
---@field ok boolean
---@field message string
---@field latency number
---@field at number when, in seconds since 1970

---@class orrery.check.state
---@field state '"unknown"'|'"passing"'|'"failing"'|'"flapping"'
---@field message? string of the last verdict; nil before there is one
---@field latency number of the last verdict

--- Runs a check once. It has ended by its timeout, whatever it meets.
---
---     local verdict = orrery.check.run { strategy = "tcp", port = 5432, timeout = 2 }
---     if not verdict.ok then print(verdict.message) end
---
--- A spec that is wrong raises, naming the key. A failure while the program itself stood still for
--- over a second is tried again.
---@async
---@param spec orrery.check.spec
---@param instance? orrery.check.Instance what a check in Lua looks at
---@return orrery.check.verdict
function check.run(spec, instance) end

---@alias orrery.check.Run async fun(ctx: table, instance: orrery.check.Instance, options: table):
---true|nil, string?

---What a check in Lua is told of what it looks at; lua/orrery/supervisor/README.md has its `ctx`.
---@class orrery.check.Instance
---@field id? string
---@field service? string
---@field address? string
---@field port? integer
---@field dir? string the folder whose checks/ come first

--- Runs a check from now on until it is closed (or collected). Those with the same options (but for
--- rise, fall and startPeriod) share their tries: each takes the others' verdicts when it is its
--- turn, once it has passed itself.
---
---     local h <close> = orrery.check.start { strategy = "http", url = "http://127.0.0.1:3000/x" }
---     while true do
---       local change = h:next()
---       print(change.state, change.message)
---     end
---
--- What a check in Lua gives has next, last and close only.
---@param spec orrery.check.spec
---@param instance? orrery.check.Instance
---@return orrery.check.handle
function check.start(spec, instance) end

---@class orrery.check.handle
local Handle = {}

--- The next change of state, the first verdict that decides included. Changes are kept (the last
--- 64) until they are asked for. Code "timeout", or "closed". One task at a time may wait.
---@async
---@param timeout? number
---@return orrery.check.state? change
---@return string? message
---@return string? code
function Handle:next(timeout) end

--- The state now, with the words of the last verdict. Code "closed".
---@return orrery.check.state? state
---@return string? message
---@return string? code
function Handle:state() end

--- The last verdict; nil if there is none yet.
---@return orrery.check.verdict?
---@return string? message
---@return string? code
function Handle:last() end

--- Ends the check and a try that runs; a waiting next() gets "closed". May be called twice.
function Handle:close() end

--- The rules that turn verdicts into a state, for checks written in Lua.
---
---     local h = orrery.check.health { rise = 1, fall = 3 }
---     local state, changed = h:feed(false)
---
---@param options? {rise?: integer, fall?: integer}
---@return orrery.check.health
function check.health(options) end

---@class orrery.check.health
local Health = {}

--- Feeds one verdict. A failure that is `excused` does not count before the first pass. Five
--- changes of sides within twenty verdicts are flapping, until no more than two are left.
---@param ok boolean
---@param excused? boolean
---@return string state "unknown", "passing", "failing" or "flapping"
---@return boolean changed
function Health:feed(ok, excused) end

--- The delay before a retry.
---
---     orrery.check.backoff({ first = 0.5, max = 60 }, failures, math.random())
---
---@param options {kind?: string, first?: number, max?: number, jitter?: number} kind: as `backoff`
---of a spec; first: 0.5, max: 60; jitter: the part that chance may take away, 0 to 1; 0.1
---@param attempt integer 0 for the first retry
---@param chance? number from 0 to below 1; 0 unless told
---@return number seconds
function check.backoff(options, attempt, chance) end

return check
