---@meta
error("a meta file cannot be required")

---Programs: services that are supervised, commands that are run to their end, and what this process
---and machine are.
---
---Everything is started by the *guard*, a small process that outlives this one just long enough to
---stop what it started: when this process ends, in whatever way, each service gets its stop signal
---and, 3 seconds later, SIGKILL.
---
---A program gets a clean environment: PATH, HOME, USER, LOGNAME, LANG and TZ, over which `env` is
---laid, and ORRERY_CHILD, by which the guard knows it again. Nothing else of ours is passed on.
---
---    local db = assert(orrery.process.spawn { argv = { "redis-server" }, instance = "demo/db@a" })
---    print(db:wait(5))          --> nil  timed out  timeout
---    db:signal("TERM")
---    print(db:wait().code)      --> 0
---@class orrery.process
local process = {}

---A program that was started. Its handle need not be kept for it to go on running.
---@class orrery.Process
---@field pid integer
local Process = {}

---@class orrery.process.Program
---@field argv? string[] the program and its arguments; or else
---@field shell? string a line for /bin/sh
---@field env? table<string, string> laid over the clean environment
---@field cwd? string working folder; default ours, or / for another user
---@field user? string name or number; default ours. Its supplementary groups come with it
---@field group? string name or number; default the user's

---@class orrery.process.Service: orrery.process.Program
---@field umask? integer default ours
---@field limits? table<string, integer|"unlimited"> as core cpu data fsize memlock nofile nproc
---@field deathSignal? string its stop signal if this process dies; default "TERM"
---@field instance? string "<stack>/<instance id>"; becomes ORRERY_INSTANCE
---@field expect? string a text that expected() waits for, in a line of its output
---@field inherit? boolean it reads and writes what we do (a terminal it does not read); no log
---@field log? orrery.process.Log where its output goes; its last lines are kept in any case

---@class orrery.process.Log
---@field path? string the file; created with mode 0640
---@field maxBytes? integer renamed to path.1 when larger; default 10485760
---@field keep? integer how many renamed files are kept; default 5

---@class orrery.process.Command: orrery.process.Program
---@field input? string its standard input; default empty
---@field timeout? number seconds, default 30; 0: none
---@field maxOutput? integer the last bytes kept of each stream; default 65536

---@class orrery.process.Status
---@field code? integer exit code; or else
---@field signal? string the signal that ended it, such as "KILL"

---@class orrery.process.Result: orrery.process.Status
---@field timedOut boolean
---@field stdout string
---@field stderr string

---Starts a service in a process group of its own. Each line that it writes is a line of the log,
---"<RFC 3339 time with ms> <out|err> <text>"; lines over 64 KiB are split. A disk that hangs holds
---it back for a second at most; then lines are dropped and the log says how many.
---@async
---@param service orrery.process.Service
---@return orrery.Process? process nil if it could not be started
---@return string? message says which program, where it was looked for and what to do
---@return string? code not_found, denied, invalid, io, closed
function process.spawn(service) end

---Runs a program to its end. At the deadline everything that it started is killed; when it ends by
---itself, what it left in the background is killed.
---
---```lua
---local r = assert(orrery.process.run { shell = "echo one two | wc -w", timeout = 60 })
---print(r.code, r.stdout) --> 0 2
---```
---@async
---@param command orrery.process.Command
---@return orrery.process.Result? result nil if it could not be started
---@return string? message
---@return string? code not_found, denied, invalid, io, closed
function process.run(command) end

---Waits until the process has ended, all that it left behind has been ended too, and its output is
---in the log.
---@async
---@param timeout? number seconds
---@return orrery.process.Status? status nil after `timeout`
---@return string? message
---@return string? code timeout; closed
function Process:wait(timeout) end

---Sends a signal to its whole process group.
---@param name string such as "TERM" or "HUP"
---@return boolean sent false if it has ended
function Process:signal(name) end

---SIGKILL for its group, its descendants, and what they orphaned.
---@return boolean sent false if it has ended
function Process:kill() end

---The last lines of its log, oldest first; at most 200 lines and 64 KiB are kept.
---@param count? integer default 20
---@return string[]
function Process:tail(count) end

---Waits until a line of its output has the text of `expect` in it: the plain text, no pattern. A
---line counts when it has ended. True at once if it was there before.
---@async
---@param timeout? number seconds
---@return true?
---@return string? message
---@return string? code timeout; closed (it ended without it)
function Process:expected(timeout) end

---Living processes that an earlier agent left: their ORRERY_INSTANCE starts with `prefix`. Neither
---what this process started, nor this process and its ancestors.
---@param prefix string such as "demo/"
---@return {pid: integer, instance: string, name: string}[]
function process.leftovers(prefix) end

---Ends those: SIGTERM, and SIGKILL after `grace` seconds. Returns when none is left.
---@async
---@param prefix string not empty
---@param grace? number seconds, default 3
---@return integer count how many there were
function process.end_leftovers(prefix, grace) end

---Takes over signals to this process: from now on they only wake who waits for them.
---
---    local signals <close> = orrery.process.signals { "INT", "TERM" }
---    print(signals:next())      --> INT
---@param names string[] 1 to 16 of them; not KILL or STOP
---@return orrery.Signals
function process.signals(names) end

---@class orrery.Signals
local Signals = {}

---The next signal: one that came meanwhile (at most 32 are remembered), or else the next to come.
---@async
---@param timeout? number seconds
---@return string? name such as "INT"; nil after `timeout`
---@return string? message
---@return string? code timeout; closed
function Signals:next(timeout) end

---Gives the signals back; who waits gets nil, "closed", "closed".
function Signals:close() end

---Opens the socket of one service that speaks the sd_notify protocol: its path belongs in the
---service's NOTIFY_SOCKET. Only `owner` may write to it (mode 0600). A message has at most 4096
---bytes; at most 64 are kept until they are asked for, then senders wait.
---
---Anyone who runs as `owner` can send. Accept a message only if `root`, the process that the guard
---started and the sender descends from, is the service (or `instance` is its ORRERY_INSTANCE).
---
---    local socket <close> = assert(orrery.process.notify_socket("/run/x/web.sock", "atproto"))
---    print(socket:next(60).text)      --> READY=1
---@param path string at most 107 bytes; a socket that is there is replaced
---@param owner? string name or number of a user; default ours
---@return orrery.NotifySocket?
---@return string? message
---@return string? code denied; invalid; not_found
function process.notify_socket(path, owner) end

---@class orrery.NotifySocket
local NotifySocket = {}

---The next message, in the order they were sent.
---@async
---@param timeout? number seconds
---@return {text: string, pid: integer, root: integer?, instance: string?}? message
---@return string? problem
---@return string? code timeout; closed
function NotifySocket:next(timeout) end

---Removes the socket; who waits gets nil, "closed", "closed".
function NotifySocket:close() end

---Tells whoever started this program, such as systemd or an agent, how it stands: lines of the
---sd_notify protocol to $NOTIFY_SOCKET. Never waits.
---```lua
---print(select(3, orrery.process.notify "READY=1\nSTATUS=serving")) --> not_found
---```
---@param text string 1 to 4096 bytes
---@return boolean? sent
---@return string? message
---@return string? code not_found where nobody asks; invalid; io
function process.notify(text) end

---Starts a program that is nobody's child and outlives us: a session of its own, our environment
---and working folder, output appended to `log` (dropped without one). Blocks until it is executed.
---@param program {argv: string[], log: string?}
---@return integer? pid
---@return string? message
---@return string? code
function process.detach(program) end

---Waits until the guard has died (somebody killed it). Its services are then being stopped:
---SIGTERM, SIGKILL after 3 seconds. Nothing can be started any more.
---@async
---@return string message
function process.guard_lost() end

---The guard's pid; nil in a host program that has started nothing yet.
---@return integer?
function process.guard_pid() end

---A variable of our environment.
---@param name string
---@return string?
function process.env(name) end

---Our whole environment.
---@return table<string, string>
function process.environ() end

---Our pid.
---@return integer
function process.pid() end

---The path of the running program.
---@return string?
function process.executable() end

---@class orrery.process.User
---@field uid integer
---@field gid integer
---@field name string
---@field home string

---Who we are.
---@return orrery.process.User
function process.user() end

---Looks up a user by name or number.
---@param name string
---@return orrery.process.User?
---@return string? message
---@return string? code not_found
function process.lookup_user(name) end

---What the kernel says about a process; nil if there is none. With its pid, `startTime` (clock
---ticks since boot) names it for good. State "Z" is a zombie: not alive.
---@param pid integer
---@return {startTime: integer, state: string, name: string, parent: integer}?
function process.stat(pid) end

---Changes at every boot.
---@return string?
---@return string? message
---@return string? code
function process.boot_id() end

---The machine's name.
---@return string?
function process.hostname() end

return process
