--- dnsd -- what the name servers of the tests (bind, knot, dnsmasq) have in common: their process,
--- their zones and keys. They lie in build/peers, listen on a loopback port of their own, and never
--- run as services of the machine.
local support = require "support"
local core = require "orrery.core"
local peers = require "support.peers"

local M = {}

M.ZONE = "svc.test"
M.SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI="  -- of key upd, which may update
M.OTHER = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyMTI="   -- of key other, which may not

local function library_folder(name)
  return ("%s/build/peers/%s/usr/lib/x86_64-linux-gnu"):format(support.root, name)
end

local function environment(options)
  local words = { "env -u LD_PRELOAD -u ASAN_OPTIONS LD_LIBRARY_PATH="
    .. library_folder(options.name) }
  if options.shift then
    words[#words + 1] = ("LD_PRELOAD=%s SHIFT=%d"):format(
      support.preloadable("shift_clock", options.dir), options.shift)
  end
  return table.concat(words, " ")
end

--- The text of a zone file with an empty zone. Answers that say no are kept for a second.
function M.zone_text(zone, more)
  return ("$TTL 30\n@ IN SOA ns.%s. admin.%s. 1 60 30 3600 1\n@ NS ns.%s.\nns A 127.0.0.1\n%s")
    :format(zone, zone, zone, more or "")
end

--- Writes key files for the client: paths by name.
function M.key_files(dir)
  local function key(name, id, secret, algorithm)
    local path = ("%s/%s.key"):format(dir, name)
    core.file.write(path, ('key "%s" {\n  algorithm %s;\n  secret "%s";\n};\n'):format(id,
      algorithm or "hmac-sha256", secret), { mode = "0600" })
    return path
  end
  return { upd = key("upd", "upd", M.SECRET), other = key("other", "other", M.OTHER),
    wrong = key("wrong", "upd", M.OTHER), unknown = key("unknown", "nokey", M.SECRET),
    sha512 = key("sha512", "upd", M.SECRET, "hmac-sha512") }
end

local function answers(address)
  local _, message, code = core.dns.query(M.ZONE, "SRV", { server = address, timeout = 0.3 })
  return code == "not_found" or code == "denied", message
end

--- Runs `command` (words for a shell) until server.stop(). options: name (of the peer), dir, port,
--- shift. The server: address, port, dir, stop(), kill(), start() (again), log().
function M.run(options, command)
  local server = { port = options.port, dir = options.dir,
    address = "127.0.0.1:" .. options.port }
  local pipe
  function server.start()
    -- It dies with us, whatever happens; setpriv and the server keep the shell's pid.
    local line = "echo $$; exec %s setpriv --pdeathsig KILL %s >>%s/log 2>&1 </dev/null"
    pipe = assert(io.popen(line:format(environment(options), command,
      options.dir)))
    server.pid = assert(math.tointeger(tonumber(pipe:read("l"))))
    local ready = pcall(support.wait_until, function() return answers(server.address) end, 20)
    if not ready then
      local said = server.log()
      server.stop()
      error(options.name .. " did not start:\n" .. said:sub(-1500), 0)
    end
  end
  function server.kill()
    if not pipe then return end
    os.execute("kill -KILL " .. server.pid)
    pipe:close()
    pipe = nil
  end
  server.stop = server.kill
  function server.log() return support.read(options.dir .. "/log") end
  server.start()
  return server
end

--- The path of the program, or nil and why not.
function M.find(name, program) return peers.find(name, program) end

--- Runs dig, and gives its lines. `words` is one string.
function M.dig(server, words)
  local _, out = support.run({ "sh", "-c", ("dig @127.0.0.1 -p %d +time=2 +tries=2 %s"):format(
    server.port, words) })
  local lines = {}
  for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

--- Runs nsupdate with a script, signed by key upd: its exit code and what it said.
function M.nsupdate(server, script)
  local code, out, err = support.run({ "nsupdate", "-y", "hmac-sha256:upd:" .. M.SECRET },
    { input = ("server 127.0.0.1 %d\n%s\nsend\n"):format(server.port, script) })
  return code, out .. err
end

return M
