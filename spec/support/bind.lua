--- bind -- a BIND of the test's own: zone svc.test, which key upd may update, ro.test, which nobody
--- may, and open.test, which all may.
local support = require "support"
local dnsd = require "support.dnsd"

local M = {}

local CONFIG = [[
key "upd" { algorithm hmac-sha256; secret "%s"; };
key "other" { algorithm hmac-sha256; secret "%s"; };
options {
  directory "%s"; pid-file "named.pid"; session-keyfile "session.key"; lock-file none;
  listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
  max-records-per-type %d; recursion no; dnssec-validation no; notify no; allow-transfer { any; };
};
controls { };
zone "svc.test" { type primary; file "svc.test.zone"; update-policy { grant upd zonesub ANY; }; };
zone "ro.test" { type primary; file "ro.test.zone"; };
zone "open.test" { type primary; file "open.test.zone"; allow-update { 127.0.0.1; }; };
]]

--- options: dir, shift (seconds that its clock is off), records (of svc.test), limit (of records in
--- a set; none). nil and why not if BIND
--- is not there.
function M.start(options)
  local program, reason = dnsd.find("bind", "named")
  if not program then return nil, reason end
  local dir, port = options.dir .. "/bind", support.free_port()
  os.execute("mkdir -p " .. dir)
  support.write(dir .. "/named.conf", CONFIG:format(dnsd.SECRET, dnsd.OTHER, dir,
    port, options.limit or 0))
  support.write(dir .. "/svc.test.zone", dnsd.zone_text("svc.test", options.records))
  support.write(dir .. "/ro.test.zone", dnsd.zone_text("ro.test"))
  support.write(dir .. "/open.test.zone", dnsd.zone_text("open.test"))
  return dnsd.run({ name = "bind", dir = dir, port = port, shift = options.shift },
    ("%s -n 1 -c %s/named.conf -g"):format(program, dir))
end

return M
