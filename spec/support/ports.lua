--- ports -- free ports below those that the kernel hands out by itself (ip_local_port_range): one
--- of them may become that of anybody's connection between the choice and the use. A port is
--- reserved by making a folder of its name in $ORRERY_PORTS, which the test processes of one run
--- share, and given out once by each process.
local core = require "orrery.core"
local lfs = require "lfs"

local M = {}

local FIRST, LAST = 10000, 30000

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text
end

-- Where the kernel gives even these out, it may take one of ours before we do: nothing helps there.
local function range()
  local low = tonumber(slurp("/proc/sys/net/ipv4/ip_local_port_range"):match("%d+")) or 32768
  return FIRST, math.max(math.min(LAST, low - 1), FIRST + 1000)
end

local first, last = range()

-- Runs that know nothing of each other begin at different places.
local pid = tonumber(slurp("/proc/self/stat"):match("^%d+")) or 0
local next_port = first + (pid * 211 + os.time() * 7) % (last - first)

--- The UDP ports that somebody has: {port = true}.
local function used_by_udp()
  local found = {}
  for _, name in ipairs { "udp", "udp6" } do
    for port in slurp("/proc/net/" .. name):gmatch(": %x+:(%x+) ") do
      found[tonumber(port, 16)] = true
    end
  end
  return found
end

local function reserve(port)
  local folder = os.getenv "ORRERY_PORTS"
  return not folder or lfs.mkdir(("%s/%d"):format(folder, port)) == true
end

local function is_free(start, count, taken)
  for port = start, start + count - 1 do
    if port > last or taken[port] or not core.net.can_bind("127.0.0.1", port) then return false end
  end
  for port = start, start + count - 1 do
    if not reserve(port) then return false end
  end
  return true
end

--- The first of `count` free ports in a row.
function M.take(count)
  local taken = used_by_udp()
  for _ = first, last do
    local port = next_port
    next_port = next_port >= last and first or next_port + 1
    if is_free(port, count, taken) then
      next_port = math.min(port + count, last)
      return port
    end
  end
  error("no port is free", 0)
end

return M
