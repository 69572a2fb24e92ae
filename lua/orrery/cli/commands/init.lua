local args = require "orrery.cli.args"
local core = require "orrery.core"
local places = require "orrery.places"
local plugin = require "orrery.plugin"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local LUA = [[
-- A stack: what one deployment runs. `orrery up` starts it, `orrery validate` checks it,
-- `orrery config` shows everything that is set, and where.
return {
  profile = "%s",
  domain = "localhost", -- the public name, such as pds.example.com

  services = {
    -- hello = { exec = { "python3", "-m", "http.server", "${port}", "--bind", "${address}" },
    --   port = 8081, healthEndpoint = "/", dependencies = { "pds" } },
  },
}
]]

local YAML = [[
# A stack: what one deployment runs. `orrery up` starts it, `orrery validate` checks it,
# `orrery config` shows everything that is set, and where.
profile: %s
domain: localhost # the public name, such as pds.example.com

services: {}
#  hello:
#    exec: [python3, -m, http.server, "${port}", --bind, "${address}"]
#    port: 8081
#    healthEndpoint: /
#    dependencies: [pds]
]]

local TEXTS = { lua = LUA, yaml = YAML }

local function refuse_existing(dir)
  local found, message = places.stack_files(dir)
  if not found then session.fail(session.UNHEALTHY, "%s", message) end
  if not found[1] then return end
  session.fail(session.UNHEALTHY, "%s/%s is there already; it stays as it is", dir, found[1])
end

return {
  name = "init",
  group = "prepare",
  summary = "write a stack file to begin with",
  arguments = "[PROFILE]",
  options = {
    {name = "dir", value = "DIR", default = ".", summary = "the folder"},
    {name = "format", value = "FORMAT", choices = {"lua", "yaml"}, default = "lua",
      summary = "lua or yaml"},
  },
  details = "An existing stack file is never overwritten. `orrery profile list` lists profiles.",
  exits = {"0    written", "1    there is one, or it cannot be written", "2    wrong usage"},
  example = "orrery init simple-pds",
  run = function(ctx)
    local profile, format = ctx.args[1] or "simple-pds", ctx.options.format
    local dir = ctx.options.dir
    local found, why = plugin.find("profile", profile, dir)
    if not found and profile ~= "custom" then args.misuse("%s", why) end
    refuse_existing(dir)
    local path = ("%s/stack.%s"):format(dir, format)
    local ok, message = core.file.mkdir(dir)
    if ok then ok, message = core.file.write(path, TEXTS[format]:format(profile), {mode = 420}) end
    if not ok then session.fail(session.UNHEALTHY, "%s", message) end
    ui.note("%s is written; next: %s%s up", path, ctx.program,
      dir == "." and "" or " -f " .. dir)
  end,
}
