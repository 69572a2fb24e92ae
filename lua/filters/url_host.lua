--- url_host -- the host as it stands in a URL: an IPv6 address in brackets.
local url = require "orrery.filter".url

return function(value)
  local host = url(value)
  return host:find(":", 1, true) and "[" .. host .. "]" or host
end
