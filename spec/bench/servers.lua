-- servers -- what the checks of the bench look at, and the peer that looks at it too. Each is ended
-- when its variable goes out of scope.
local orrery = require "orrery"

local file, net, process, time = orrery.file, orrery.net, orrery.process, orrery.time

local M = {}

local ENDING = { __close = function(server)
  server.process:kill()
  server.process:wait(10)
end }

-- A server that answers at `port`.
local function start(bench, name, port, argv)
  local env = { PATH = "/usr/sbin:/usr/bin:/sbin:/bin" }
  local handle = assert(process.spawn { argv = argv, env = env, cwd = bench.work,
    log = { path = ("%s/%s.log"):format(bench.work, name) } })
  local server = setmetatable({ process = handle, port = port }, ENDING)
  for _ = 1, 200 do
    if net.connect("127.0.0.1", port) then return server end
    time.sleep(0.05)
  end
  server.process:kill()
  error(name .. " does not answer: " .. table.concat(handle:tail(5), "\n"), 0)
end

local NGINX = [[
worker_processes 1; daemon off; pid %s/nginx.pid; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
  server { listen 127.0.0.1:%d backlog=4096; location / { return 200 "ok\n"; } }
}
]]

function M.nginx(bench)
  local port, work = assert(net.free_port()), bench.work
  assert(file.write(work .. "/nginx.conf", NGINX:format(work, work, work, work, work, work, port)))
  return start(bench, "nginx", port, { "nginx", "-e", "stderr", "-c", work .. "/nginx.conf" })
end

function M.listener(bench)
  local port = assert(net.free_port())
  return start(bench, "listener", port, { bench.work .. "/listener", tostring(port) })
end

function M.exporter(bench)
  local port = assert(net.free_port())
  local modules = "modules: {http_2xx: {prober: http}, tcp_connect: {prober: tcp}}\n"
  assert(file.write(bench.work .. "/exporter.yml", modules))
  return start(bench, "exporter", port, { "prometheus-blackbox-exporter", "--log.level=error",
    "--config.file=" .. bench.work .. "/exporter.yml",
    "--web.listen-address=127.0.0.1:" .. port })
end

local TICKS = 100 -- a second, as /proc counts on Linux

--- Seconds of processor that a server has used so far, with all its threads.
function M.cpu(server)
  local text = assert(file.read(("/proc/%d/stat"):format(server.process.pid)))
  local in_program, in_kernel = text:match("^%d+ %(.*%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
  return (tonumber(in_program) + tonumber(in_kernel)) / TICKS
end

--- MiB that it holds.
function M.resident(server)
  local text = assert(file.read(("/proc/%d/status"):format(server.process.pid)))
  return tonumber(text:match("VmRSS:%s*(%d+)")) / 1024
end

return M
