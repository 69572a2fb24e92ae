-- consul -- a Consul server for the tables that measure one: in memory, and ended with us.
local orrery = require "orrery"

local file, json, process = orrery.file, orrery.json, orrery.process

local M = { PROGRAM = "build/peers/consul/usr/bin/consul" }

local function ports()
  local all = { serf_wan = -1, dns = -1, grpc = -1 }
  for _, name in ipairs { "http", "server", "serf_lan" } do all[name] = orrery.net.free_port() end
  return all
end

--- Starts one: its address, and what stops it.
function M.start(bench)
  local path, chosen = bench.work .. "/consul.json", ports()
  assert(file.write(path, json.encode { ports = chosen, bind_addr = "127.0.0.1",
    client_addr = "127.0.0.1", log_level = "err", disable_update_check = true }))
  local server = assert(process.spawn { instance = "bench/consul",
    argv = { M.PROGRAM, "agent", "-dev", "-config-file=" .. path },
    log = { path = bench.work .. "/consul.log" } })
  local address = "127.0.0.1:" .. chosen.http
  for _ = 1, 200 do
    local leader = orrery.http.get("http://" .. address .. "/v1/status/leader")
    if leader and leader.body:find "127" then break end
    orrery.time.sleep(0.05)
  end
  return address, function() server:signal "TERM"; server:wait(10) end
end

--- Whether its program is there; says so if not.
function M.found(bench)
  if file.stat(M.PROGRAM) then return true end
  bench.say("consul: skipped, as " .. M.PROGRAM .. " is not there")
  return false
end

return M
