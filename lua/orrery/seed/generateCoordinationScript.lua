--- generateCoordinationScript -- a program that waits until a service may start.
local json = require("orrery.core").json

local SCRIPT = [==[
#!/usr/bin/env -S orrery script
-- Waits for what %s depends on. Exit code 0: it may start.
local orrery = require "orrery"
local coordination = orrery.mkServiceCoordination(assert(orrery.json.decode(%q)))
print "Starting coordination for service: %s"
local ok, message = coordination.waitForDependencies(%q, { tell = print })
if not ok then return nil, message end
print "All dependencies ready, starting %s"
]==]

return function(coordination, name)
  if type(coordination) ~= "table" or not coordination.waitForDependencies then
    error("generateCoordinationScript: expected what mkServiceCoordination makes", 2)
  end
  if type(name) ~= "string" or not name:find("^[a-z0-9][a-z0-9.-]*$") then
    error("generateCoordinationScript: expected the name of a service", 2)
  end
  local text, message, code = json.encode(coordination.arguments)
  if not text then return nil, message, code end
  return SCRIPT:format(name, text, name, name, name)
end
