--- ports -- numbers for `port = "auto"`: chosen once, kept in the state folder, so that a restart
-- keeps its addresses.
local core = require "orrery.core"

local M = {}

local function read(path)
  local text, err, code = core.file.read(path)
  if not text then return code == "not_found" and {} or nil, err end
  local ports
  ports, err = core.json.decode(text)
  if not ports then
    return nil, ("%s: %s; remove the file to choose ports again"):format(path, err)
  end
  return ports
end

--- Gives every instance with an automatic port its number: `list` of {id, port, bind}. Returns true
-- or nil and a message.
function M.assign(list, state_dir)
  local path = state_dir .. "/ports.json"
  local kept, err = read(path)
  if not kept then return nil, err end
  local changed = false
  for _, i in ipairs(list) do
    if i.port == "auto" then
      if not kept[i.id] then
        kept[i.id] = core.net.free_port(i.service.bind)
        changed = true
      end
      i.port = kept[i.id]
    end
  end
  if not changed then return true end
  return core.file.write(path, core.json.encode(kept, { indent = 2 }) .. "\n", { mode = 416 })
end

return M
