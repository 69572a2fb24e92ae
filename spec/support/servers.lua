--- servers -- the small servers in this folder, as processes of a test.
local M = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Starts a Python script of spec/support and reads "PID PORT..." from it, which it prints once it
--- listens. Returns {pid, ports, stop()}.
function M.start(script, ...)
  local words = { "exec env -u LD_PRELOAD -u ASAN_OPTIONS python3 -B", "spec/support/" .. script }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  local pipe = assert(io.popen(table.concat(words, " ")))
  local server = { ports = {} }
  for number in (pipe:read("l") or ""):gmatch("%d+") do
    server.ports[#server.ports + 1] = math.tointeger(number)
  end
  server.pid = assert(table.remove(server.ports, 1), script .. " did not start")
  function server.stop()
    os.execute("kill -KILL " .. server.pid)
    pipe:close()
  end
  return server
end

--- Makes a self-signed certificate for a host in `folder`; returns the paths of it and its key.
function M.certificate(folder, host)
  local cert, key = folder .. "/cert.pem", folder .. "/key.pem"
  local command = "env -u LD_PRELOAD openssl req -x509 -nodes -days 2 -newkey ec "
    .. "-pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=%s -addext subjectAltName=DNS:%s "
    .. "-keyout %s -out %s 2>/dev/null"
  assert(os.execute(command:format(host, host, quote(key), quote(cert))))
  return cert, key
end

return M
