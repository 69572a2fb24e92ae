--- lua_page -- the page orrery-lua(3), from the annotations. Pure.
local meta = require "orrery.docs.meta"
local pages = require "orrery.docs.pages"

local M = {}

-- First what every script meets; the others follow by name.
local FIRST = { "orrery", "task", "time" }

local TITLES = { stackfile = "Stack files in Lua", seed = "Stacks, piece by piece",
  seed_templates = "Configuration files, piece by piece" }

-- Told in orrery-stack(5), key by key.
local ELSEWHERE = { stacktypes = true }

--- "orrery.task.spawn(fn, ...)", "Task:join([timeout])".
local function signature(block)
  local optional, list = {}, {}
  for _, param in ipairs(block.params) do optional[param.name] = param.optional end
  for i, name in ipairs(block.arguments) do
    list[i] = optional[name] and "[" .. name .. "]" or name
  end
  local owner = block.owner or ""
  if block.method then owner = owner:match("[^.]+$") end
  local mark = block.method and ":" or "."
  return ("%s%s(%s)"):format(owner == "" and "" or owner .. mark, block.name,
    table.concat(list, ", "))
end

local function add_named(page, list, prefix)
  for _, item in ipairs(list) do
    local note = item.type .. (item.optional and ", optional" or "")
    page:entry(item.name, item.doc, { note = note,
      id = prefix and pages.id(prefix .. ".", item.name) or nil })
  end
end

-- "nil, message, code" stand in nearly every function: the intro tells what they are.
local function is_failure(item)
  return item.doc == "" and item.type == "string?"
    and (item.name == "message" or item.name == "code")
end

local function add_returns(page, returns)
  local shown = {}
  for _, item in ipairs(returns) do
    if not is_failure(item) then shown[#shown + 1] = item end
  end
  for _, item in ipairs(shown) do
    page:entry(item.name and "-> " .. item.name or "->", item.doc, { note = item.type })
  end
end

local function add_function(page, block)
  local id = (block.owner or "global") .. (block.method and ":" or ".") .. block.name
  page:heading(2, pages.id("", id), signature(block),
    { code = true, note = block.async and "waits" or nil })
  page:lines(block.doc)
  add_named(page, block.params)
  add_returns(page, block.returns)
end

local function add_class(page, block)
  if #block.doc == 0 and #block.fields == 0 then return end
  local parents = #block.parents > 0 and "also has what " .. table.concat(block.parents, ", ")
    .. " has" or nil
  page:heading(2, pages.id("type-", block.name), block.name, { code = true, note = parents })
  page:lines(block.doc)
  add_named(page, block.fields, "type-" .. block.name)
end

local function add_alias(page, block)
  page:heading(2, pages.id("type-", block.name), block.name, { code = true, note = "type" })
  page:lines(block.doc)
  for _, value in ipairs(block.values) do
    page:entry((value.type:gsub("^'(.*)'$", "%1")), value.doc)
  end
end

local ADD = { ["function"] = add_function, class = add_class, alias = add_alias }

-- The class that a file is about is its heading; `orrery` may be in several files.
local function add_file(page, name, blocks)
  local function is_own(block)
    return block.kind == "class" and (block.name == "orrery" or block.name == "orrery." .. name)
  end
  local own = name == "orrery" and "orrery" or "orrery." .. name
  page:heading(1, "lua-" .. name, TITLES[name] or own, { code = not TITLES[name] })
  for _, block in ipairs(blocks) do
    if is_own(block) then
      page:lines(block.doc)
      add_named(page, block.fields, own)
    elseif block.kind == "text" then
      page:lines(block.doc)
    end
  end
  for _, block in ipairs(blocks) do
    if ADD[block.kind] and not is_own(block) then ADD[block.kind](page, block) end
  end
end

local function in_order(files)
  local names, taken = {}, {}
  for _, name in ipairs(FIRST) do
    if files[name] then names[#names + 1], taken[name] = name, true end
  end
  local rest = {}
  for name in pairs(files) do
    if not taken[name] and not ELSEWHERE[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  return table.move(rest, 1, #rest, #names + 1, names)
end

--- The page of {<name> = <text of lua/meta/<name>.lua>}.
function M.page(files)
  local page = pages.new("orrery-lua", 3, "the Lua interface of Orrery")
  page:heading(1, "lua-synopsis", "Synopsis")
  page:code('local orrery = require "orrery"')
  page:heading(1, "lua-description", "Description")
  page:para("The same interface is there in scripts (`orrery script FILE`), in the REPL and in a "
    .. "stock lua5.4. Calls that wait are plain calls: a task parks, the main thread drives the "
    .. "event loop meanwhile. Those are marked as waiting.")
  page:para("What the world does wrong is returned: nil, a message and a code. Misuse is raised. "
    .. "A function whose first result may be nil returns those two behind it, although only what "
    .. "is special about them is told here.")
  for _, name in ipairs(in_order(files)) do add_file(page, name, meta.read(files[name])) end
  return page
end

return M
