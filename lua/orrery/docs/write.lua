--- write -- `orrery script write.lua FOLDER [meta]`: writes the manual into a folder, and with
-- `meta` the annotations of the stack into lua/meta/stacktypes.lua, too. For `make docs`.
local core = require "orrery.core"
local manual = require "orrery.docs.manual"
local plugin = require "orrery.plugin"

local folder, meta = ...
if not folder then error("usage: write.lua FOLDER [meta]", 0) end

-- The day of the release that is being packed, where a packer says so.
local moment = tonumber(os.getenv("SOURCE_DATE_EPOCH") or "") or core.time.now()

local function write(path, text)
  assert(core.file.mkdir((path:match("^(.*)/[^/]+$"))))
  if core.file.read(path) ~= text then assert(core.file.write(path, text, { mode = "0644" })) end
end

if meta == "meta" then write(plugin.root() .. "/lua/meta/stacktypes.lua", manual.annotations()) end
for path, text in pairs(manual.files(plugin.root(), core.time.format(moment):sub(1, 10))) do
  write(folder .. "/" .. path, text)
end
