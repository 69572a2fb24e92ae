---@meta
error("a meta file cannot be required")

---Tasks: functions that run side by side and wait for events without blocking each other. Only one
---runs at a time, and it runs until it waits or ends; after a second of CPU time without a wait it
---is stopped with an error.
---
---```lua
---local t = orrery.task.spawn(function(name)
---  orrery.time.sleep(0.1)
---  return "hello " .. name
---end, "x")
---print(t:join()) --> hello x
---```
---@class orrery.task
local task = {}

---A running or ended task.
---@class orrery.Task
local Task = {}

---Starts `fn(...)` as a task; it first runs when the caller next waits. If it fails and nobody
---joins it, the error is logged once.
---@param fn function
---@param ... any
---@return orrery.Task
function task.spawn(fn, ...) end

---The number of tasks that have not ended.
---@return integer
function task.count() end

---Makes a queue: values pushed by some tasks, popped by others, first in, first out.
---@return orrery.Queue
function task.queue() end

---Runs functions side by side until all have ended. When one fails (it raises, or returns nil and a
---message), the others are cancelled, and have ended when this returns.
---
---```lua
---local values = assert(orrery.task.all {
---  function() orrery.time.sleep(0.1) return "slow" end,
---  function() return "quick" end,
---})
---print(values[1], values[2]) --> slow quick
---```
---@async
---@param functions (fun(): any)[]
---@return {n: integer, [integer]: any}? values the first result of each, in their order
---@return string? message of the one that failed
---@return string? code
function task.all(functions) end

---Runs functions side by side until the first has ended, with or without success; the others are
---cancelled, and have ended when this returns.
---
---```lua
---print(orrery.task.race {
---  function() orrery.time.sleep(60) return "slow" end,
---  function() return "quick", 2 end,
---}) --> quick 2
---```
---@async
---@param functions (fun(): any)[] at least one
---@return any ... what it returned; nil, message, code if it failed
function task.race(functions) end

---As task.race, but a failure does not end it: the first success does. If all fail, what the last
---of them said.
---@async
---@param functions (fun(): any)[] at least one
---@return any ...
function task.any(functions) end

---Runs `fn(...)`, for at most that long; then it is cancelled.
---
---```lua
---print(orrery.task.timeout(0.05, orrery.time.sleep, 60)) --> nil timed out after 0.05 s timeout
---```
---@async
---@param seconds number
---@param fn function
---@param ... any
---@return any ... what it returned; or nil, message, "timeout"
function task.timeout(seconds, fn, ...) end

---Makes the task's wait, and every later one, raise "cancelled"; its to-be-closed variables are
---closed. Does nothing to a task that has ended or was cancelled before.
function Task:cancel() end

---Whether the task has ended.
---@return boolean
function Task:done() end

---Waits until the task has ended and returns what it returned; nil, message, "failed" if it raised
---an error or was cancelled; nil, "timed out", "timeout" after `timeout` seconds.
---@async
---@param timeout? number seconds
---@return any ...
function Task:join(timeout) end

---@class orrery.Queue
---@operator len: integer
local Queue = {}

---Appends a value, or hands it to the task that has waited longest. Never waits.
---@param value any not nil
function Queue:push(value) end

---Takes the oldest value, waiting for one if there is none; nil, "timed out", "timeout" after
---`timeout` seconds.
---@async
---@param timeout? number seconds
---@return any value
---@return string? message
---@return string? code
function Queue:pop(timeout) end

return task
