--- dnsmasq -- a dnsmasq of the test's own: it only answers, from its command line.
local support = require "support"
local dnsd = require "support.dnsd"

local M = {}

--- options: dir, records (words of its command line).
function M.start(options)
  local program, reason = dnsd.find("dnsmasq", "dnsmasq")
  if not program then return nil, reason end
  local dir, port = options.dir .. "/dnsmasq", support.free_port()
  os.execute("mkdir -p " .. dir)
  local user = io.popen("id -un"):read("l")
  return dnsd.run({ name = "dnsmasq", dir = dir, port = port },
    ("%s -k -C /dev/null --no-resolv --no-hosts -p %d --listen-address=127.0.0.1 "
      .. "--bind-interfaces --user=%s --pid-file= --local=/svc.test/ --local-ttl=1 %s"):format(
      program, port, user, options.records or ""))
end

return M
