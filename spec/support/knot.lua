--- knot -- a Knot DNS of the test's own: zone svc.test, which key upd may update, ro.test,
--- which nobody may, and open.test, which all may.
local support = require "support"
local dnsd = require "support.dnsd"

local M = {}

local CONFIG = [[
server:
    rundir: "%s"
    listen: 127.0.0.1@%d
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "%s/db"
log:
  - target: stderr
    any: info
key:
  - id: upd
    algorithm: hmac-sha256
    secret: %s
  - id: other
    algorithm: hmac-sha256
    secret: %s
acl:
  - id: upd
    key: upd
    action: [update, transfer]
  - id: all
    address: 127.0.0.1
    action: update
template:
  - id: default
    storage: "%s"
    journal-content: changes
zone:
  - domain: svc.test
    file: svc.test.zone
    acl: upd
  - domain: ro.test
    file: ro.test.zone
  - domain: open.test
    file: open.test.zone
    acl: all
]]

--- options: dir, shift, records, as bind.start() has them.
function M.start(options)
  local program, reason = dnsd.find("knot", "knotd")
  if not program then return nil, reason end
  local dir, port = options.dir .. "/knot", support.free_port()
  os.execute(("mkdir -p %s/db"):format(dir)) -- Knot does not make it, and then every update fails
  support.write(dir .. "/knot.conf",
    CONFIG:format(dir, port, dir, dnsd.SECRET, dnsd.OTHER, dir))
  support.write(dir .. "/svc.test.zone", dnsd.zone_text("svc.test", options.records))
  support.write(dir .. "/ro.test.zone", dnsd.zone_text("ro.test"))
  support.write(dir .. "/open.test.zone", dnsd.zone_text("open.test"))
  return dnsd.run({ name = "knot", dir = dir, port = port, shift = options.shift },
    ("%s -c %s/knot.conf"):format(program, dir))
end

return M
