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
