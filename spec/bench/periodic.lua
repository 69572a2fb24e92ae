-- periodic -- periodic.lua HTTP_PORT TCP_PORT COUNT SECONDS: holds COUNT checks of 10 s, half http,
-- half tcp. Prints the part of a processor that they took, the KiB that the process holds, the
-- milliseconds by which the latest one was late, and the allocations of ours for one try (-1: not
-- counted).
local core = require "orrery.core"

local INTERVAL = 10
local http, tcp, count, seconds = table.unpack(arg)
local counted, allocations = pcall(require, "allocs")

-- Each is its own: those that are the same would run once.
local function spec(i)
  if i % 2 == 0 then
    return { strategy = "tcp", port = math.tointeger(tcp), timeout = 5 + i / 1000 }
  end
  return { strategy = "http", url = ("http://127.0.0.1:%s/%d"):format(http, i), timeout = 5 }
end

-- When the last try of each check began.
local function starts(handles)
  local list = {}
  for i, h in ipairs(handles) do
    local last = assert(h:last(), "a check without a verdict")
    assert(last.ok, last.message)
    list[i] = last.at - last.latency
  end
  return list
end

-- Of each check the places of its tries within the interval: how far they lie apart at most.
local function lateness(samples)
  local worst = 0
  for i = 1, #samples[1] do
    local first, least, most = samples[1][i], 0, 0
    for _, sample in ipairs(samples) do
      local off = sample[i] - first
      off = off - INTERVAL * math.floor(off / INTERVAL + 0.5)
      least, most = math.min(least, off), math.max(most, off)
    end
    worst = math.max(worst, most - least)
  end
  return worst
end

local function resident()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmRSS:%s*(%d+)"
    if kib then return kib end
  end
end

local handles = {}
for i = 1, math.tointeger(count) do handles[i] = core.check.start(spec(i)) end
core.time.sleep(1.5 * INTERVAL) -- by then each has passed, and is at its own place
collectgarbage()

local samples, used, made = { starts(handles) }, 0, 0
for _ = 1, math.max(1, tonumber(seconds) // INTERVAL) do
  local before, made_before = os.clock(), counted and allocations() or 0
  core.time.sleep(INTERVAL)
  used = used + os.clock() - before
  made = made + (counted and allocations() or 0) - made_before
  samples[#samples + 1] = starts(handles)
end
local rounds = #samples - 1
print(("%.4f %s %.1f %.3f"):format(used / (rounds * INTERVAL), resident(),
  lateness(samples) * 1000, counted and made / (rounds * #handles) or -1))
os.exit(true, true)
