-- supervisors -- peers that start processes: each function starts `count` of `sleep`, and gives the
-- milliseconds until the peer itself knows of the last that it is up; nil if it is not installed.
local orrery = require "orrery"

local file, process, task, time = orrery.file, orrery.process, orrery.task, orrery.time

local M = {}

local PATIENCE, POLL = 60, 0.005 -- seconds

local function installed(name)
  local result = process.run({ argv = { "sh", "-c", "command -v " .. name }, timeout = 10 })
  return result and result.code == 0
end

--- Runs the peer until up() is true. The milliseconds that took.
local function measure(argv, up)
  local began, took = time.monotonic(), nil
  local peer = task.spawn(process.run, { argv = argv, timeout = PATIENCE })
  while not took and time.monotonic() - began < PATIENCE and not peer:done() do
    if up() then took = (time.monotonic() - began) * 1000 else time.sleep(POLL) end
  end
  peer:cancel()
  assert(took, argv[1] .. " did not start its processes")
  return took
end

local PROGRAM = [[
[program:sleep-%d]
command=sleep 100000
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
]]

--- It says so in its log.
function M.supervisord(bench, count)
  if not installed("supervisord") then return nil end
  local folder = bench.work .. "/supervisord"
  local log = folder .. "/log"
  file.remove_tree(folder)
  assert(file.mkdir(folder, "0755"))
  local lines = { ("[supervisord]\nnodaemon=true\nlogfile=%s\npidfile=%s/pid\nminfds=4096\n")
    :format(log, folder) }
  for n = 1, count do lines[n + 1] = PROGRAM:format(n) end
  assert(file.write(folder .. "/conf", table.concat(lines)))
  return measure({ "supervisord", "-c", folder .. "/conf" }, function()
    local text = file.read(log) or ""
    return select(2, text:gsub("entered RUNNING state", "")) >= count
  end)
end

local STATUS_PID = 24 -- where the pid begins in what s6-supervise writes: 8 bytes, big-endian

local function s6_is_up(folder)
  local status = file.read(folder .. "/supervise/status")
  return status and #status >= STATUS_PID + 8 and (">I8"):unpack(status, STATUS_PID + 1) > 0
end

--- Each service has a file that says so.
function M.s6(bench, count)
  if not installed("s6-svscan") then return nil end
  local scan, waits = bench.work .. "/s6", 1
  file.remove_tree(scan)
  for n = 1, count do
    local folder = scan .. "/sleep-" .. n
    assert(file.mkdir(folder, "0755"))
    assert(file.write(folder .. "/run", "#!/bin/sh\nexec sleep 100000\n", { mode = "0755",
      sync = false }))
  end
  return measure({ "s6-svscan", "-c", tostring(count + 10), scan }, function()
    while waits <= count and s6_is_up(scan .. "/sleep-" .. waits) do waits = waits + 1 end
    return waits > count
  end)
end

return M
