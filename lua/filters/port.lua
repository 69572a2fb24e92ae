--- port -- the port of a URL or of host:port, else that of its scheme.
local url = require "orrery.filter".url

local KNOWN = {http = 80, https = 443, ws = 80, wss = 443, postgresql = 5432, postgres = 5432,
               redis = 6379, rediss = 6379}

return function(value)
  local _, port, scheme = url(value)
  return port or KNOWN[scheme] or error("this names no port", 0)
end
