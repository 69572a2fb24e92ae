local core = require "orrery.core"
local plugin = require "orrery.plugin"
local ui = require "orrery.cli.ui"

--- What a stock lua5.4 needs to find `require "orrery"`, as a shell takes it. It is the installed
-- layout, or that of a build folder.
local function paths()
  local root = plugin.root()
  local bin = core.process.executable():match("^(.*)/[^/]*$")
  local lua = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(root, root)
  for _, folder in ipairs { bin .. "/lib", bin .. "/../lib/lua/5.4" } do
    local found = core.file.realpath(folder)
    if found and core.file.stat(found .. "/orrery/core.so") then
      return { LUA_PATH = lua, LUA_CPATH = found .. "/?.so;;" }
    end
  end
  return { LUA_PATH = lua }
end

return {
  name = "version",
  group = "other",
  summary = "show the version",
  options = {
    {name = "json", summary = "print JSON"},
    {name = "paths", summary = "print what a stock lua5.4 needs, for eval in a shell"},
  },
  example = "orrery version --paths",
  run = function(ctx)
    if ctx.options.paths then
      local found = paths()
      if ctx.options.json then return ui.json(found) end
      for _, name in ipairs { "LUA_PATH", "LUA_CPATH" } do
        if found[name] then ui.out("export %s='%s'", name, found[name]) end
      end
      return
    end
    if ctx.options.json then
      return ui.json({version = core.version, lua = _VERSION})
    end
    ui.out("orrery %s", core.version)
  end,
}
