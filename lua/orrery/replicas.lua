--- replicas -- what differs between the copies of a service on one node. Pure.
--
-- Copy 1 is the service itself: its port, its folders. Copy n gets port + n - 1 (and the same of
-- each of `ports`), and folders of its own, named <service>-<n>: no two copies share their data
-- unless the stack says so with a path of its own.
local M = {}

--- The port of copy `copy`; "auto" and nil stay so.
function M.port(service, copy)
  return math.type(service.port) and service.port + copy - 1 or service.port
end

--- The further ports of copy `copy`.
function M.ports(service, copy)
  if copy == 1 then return service.ports end
  local ports = {}
  for name, port in pairs(service.ports or {}) do ports[name] = port + copy - 1 end
  return ports
end

--- The folders of copy `copy`; the package and the logs are shared, log files bear the copy's id.
function M.dirs(service, copy)
  local own = service.dirs
  if copy == 1 then return own end
  local dirs = {}
  for key, path in pairs(own) do dirs[key] = path end
  for _, key in ipairs({ "data", "config" }) do dirs[key] = ("%s-%d"):format(own[key], copy) end
  return dirs
end

return M
