-- running -- a stack that runs while something about it is measured.
local client = require "orrery.client"
local orrery = require "orrery"
local stacks = require "orrery.stack"

local file, time = orrery.file, orrery.time

local M = {}

--- Runs the stack; fn(stack, seconds until it was settled) while it runs.
function M.with_stack(bench, path, fn)
  local stack, problems = stacks.load(path, {})
  if not stack then error(stacks.format(problems), 0) end
  local began = time.monotonic()
  local ok, message = pcall(bench.run, { bench.orrery, "-f", path, "up", "-d" }, 900)
  local took = time.monotonic() - began
  if ok then ok, message = pcall(fn, stack, took) end
  bench.run({ bench.orrery, "-f", path, "down" }, 120)
  if not ok then error(message, 0) end
end

function M.connect(stack)
  local agent, state = client.connect(stack)
  return agent or error(state, 0), state
end

--- When the first of `count` services began to start, and when the last ran.
function M.span(stack, count)
  local agent = M.connect(stack)
  local events = assert(agent:events { since = 0, follow = false })
  local first, last
  local ran = 0
  for event in function() return events:next(5) end do
    if event.type == "state" and event.to == "starting" then first = first or event.at end
    if event.type == "state" and event.to == "running" then last, ran = event.at, ran + 1 end
  end
  events.close()
  assert(ran == count, ("%d of %d services ran"):format(ran, count))
  return first, last
end

--- The pid of the guard.
function M.guard(stack) return select(2, M.connect(stack)).agent.guard end

--- A number of /proc/PID/status.
function M.field(pid, name)
  local text = assert(file.read(("/proc/%d/status"):format(pid)))
  return tonumber(text:match(name .. ":%s*(%d+)"))
end

--- Nanoseconds on a processor so far.
function M.cpu(pid)
  return tonumber(assert(file.read(("/proc/%d/schedstat"):format(pid))):match("^%d+"))
end

function M.write(bench, name, text)
  local folder = bench.work .. "/" .. name
  assert(file.mkdir(folder, "0755"))
  assert(file.write(folder .. "/stack.lua", text, { mode = "0644" }))
  return folder .. "/stack.lua"
end

return M
