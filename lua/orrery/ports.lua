--- ports -- numbers for `port = "auto"`: chosen once, kept in the state folder, so that a restart
-- keeps its addresses.
local core = require "orrery.core"

local M = {}

local TRIES = 50

local function read(path)
  local text, err, code = core.file.read(path)
  if not text then return code == "not_found" and {} or nil, err end
  local ports
  ports, err = core.json.decode(text)
  if type(ports) ~= "table" then
    err = err or "it holds no object"
    return nil, ("%s: %s; remove the file to choose ports again"):format(path, err)
  end
  return ports
end

--- The ports that the stack gives by number.
local function fixed_ports(list)
  local taken = {}
  for _, i in ipairs(list) do
    if math.type(i.port) then taken[i.port] = i.id end
    for _, port in pairs(i.service.ports or {}) do taken[port] = i.id end
  end
  return taken
end

--- Whether a kept number can still be used. Nothing of ours runs yet, so who has it is foreign.
local function usable(port, taken, bind)
  return math.type(port) == "integer" and port > 0 and port < 65536 and not taken[port]
    and core.net.can_bind(bind, port)
end

local function choose(taken, bind)
  for _ = 1, TRIES do
    local port, err = core.net.free_port(bind)
    if not port then return nil, err end
    if not taken[port] then return port end
  end
  return nil, "every port that the system offers is used in this stack"
end

--- Gives every instance with an automatic port its number: `list` of instances {id, port, service}.
-- To be called before any of them runs. Returns true or nil and a message.
function M.assign(list, state_dir)
  local path = state_dir .. "/ports.json"
  local kept, err = read(path)
  if not kept then return nil, err end
  local taken, changed = fixed_ports(list), false
  for _, i in ipairs(list) do
    if i.port == "auto" then
      if not usable(kept[i.id], taken, i.service.bind) then
        kept[i.id], err = choose(taken, i.service.bind)
        if not kept[i.id] then return nil, ("%s: no port is free: %s"):format(i.id, err) end
        changed = true
      end
      i.port = kept[i.id]
      taken[i.port] = i.id
    end
  end
  if not changed then return true end
  return core.file.write(path, core.json.encode(kept, { indent = 2 }) .. "\n", { mode = 416 })
end

return M
