--- manual -- reads what the manual is made from, and gives its files. Writes nothing.
local cli = require "orrery.docs.cli"
local core = require "orrery.core"
local html = require "orrery.docs.html"
local lua_page = require "orrery.docs.lua_page"
local luals = require "orrery.docs.luals"
local roff = require "orrery.docs.roff"
local stack_page = require "orrery.docs.stack_page"

local M = {}

local PLUGINS = { types = "lua/types", filters = "lua/filters", formats = "lua/formats",
  profiles = "profiles" }

-- {<name> = text} of every Lua file of a folder.
local function texts_of(folder)
  local texts = {}
  for _, file in ipairs(assert(core.file.list(folder))) do
    local name = file:match("^(.*)%.lua$")
    if name then texts[name] = assert(core.file.read(folder .. "/" .. file)) end
  end
  return texts
end

--- The pages, as pages.lua says; root holds lua/ and profiles/.
function M.pages(root)
  local plugins = {}
  for kind, folder in pairs(PLUGINS) do plugins[kind] = texts_of(root .. "/" .. folder) end
  return { cli.page(), stack_page.page(plugins), lua_page.page(texts_of(root .. "/lua/meta")) }
end

--- {<path> = text}: man pages and the HTML document. date: "2026-01-31".
function M.files(root, date)
  local all, facts = M.pages(root), { version = core.version, date = date }
  local files = { ["orrery.html"] = html.document(all, facts) }
  for _, page in ipairs(all) do
    files[("man/man%d/%s.%d"):format(page.section, page.name, page.section)] =
      roff.page(page, facts, all)
  end
  return files
end

--- The annotations of the stack: lua/meta/stacktypes.lua.
function M.annotations() return luals.stack() end

return M
