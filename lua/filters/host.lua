--- host -- the host of a URL or of host:port, without port and brackets.
local url = require "orrery.filter".url

return function(value) return (url(value)) end
