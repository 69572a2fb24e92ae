--- meta -- reads annotations (lua/meta/*.lua) into tables: the manual as data. Pure.
--
-- A file is {blocks}: each is a run of `---` lines and the declaration below it.
--   kind      "class", "alias", "function" or "text"
--   name      of a class or alias; of a function what follows its owner
--   owner     of a function: the class (or variable) it belongs to; method: called with ":"
--   doc       lines of text, without the dashes
--   async     it waits
--   fields    {name, type, doc, optional}      params  the same
--   returns   {type, name, doc}                arguments  names, as the declaration has them
--   values    of an alias: {type, doc}         parents  of a class
--   line      of its first line; at: of each line of doc
local M = {}

-- ---- types ----

-- Where the type at the start of `text` ends: at a blank outside of brackets and quotes, unless it
-- is around "|" or after "async" or ":".
local function end_of_type(text)
  local depth, quote = 0, nil
  for at = 1, #text do
    local char = text:sub(at, at)
    if quote then
      if char == quote then quote = nil end
    elseif char == '"' or char == "'" then quote = char
    elseif char:find("[%(%[{<]") then depth = depth + 1
    elseif char:find("[%)%]}>]") then depth = depth - 1
    elseif char == " " and depth == 0 then
      local before, after = text:sub(1, at - 1), text:sub(at + 1)
      local goes_on = before:find("[|:]$") or before == "async" or after:find("^%s*|")
        or before:find(",$") and before:find("fun%(")
      if not goes_on then return at - 1 end
    end
  end
  return #text
end

--- The type that `text` begins with, and the rest.
function M.split_type(text)
  local last = end_of_type(text)
  return text:sub(1, last), (text:sub(last + 1):gsub("^%s+", ""))
end

local function named(text)
  local name, rest = text:match("^(%S+)%s*(.*)$")
  if name:sub(1, 1) == "[" then name, rest = text:match("^(%b[])%s*(.*)$") end
  local kind, doc = M.split_type(rest)
  local optional = name:sub(-1) == "?"
  return { name = optional and name:sub(1, -2) or name, type = kind, doc = doc,
    optional = optional }
end

local function returned(text)
  local kind, rest = M.split_type(text)
  local name, doc = rest:match("^([%w_.]+)%s*(.*)$")
  return { type = kind, name = name, doc = doc or rest }
end

-- ---- tags ----

local tags = {}

function tags.class(block, text)
  local name, parents = text:match("^([%w_.]+)%s*:?%s*(.*)$")
  block.kind, block.name, block.parents = "class", name, {}
  for parent in parents:gmatch("[%w_.]+") do table.insert(block.parents, parent) end
end

function tags.alias(block, text)
  local name, kind = text:match("^([%w_.]+)%s*(.*)$")
  block.kind, block.name, block.values = "alias", name, {}
  if kind ~= "" then
    local value, doc = M.split_type(kind)
    block.values[1] = { type = value, doc = doc }
    return block.values[1]
  end
end

function tags.field(block, text)
  table.insert(block.fields, named(text))
  return block.fields[#block.fields]
end

function tags.param(block, text)
  table.insert(block.params, named(text))
  return block.params[#block.params]
end

tags["return"] = function(block, text)
  table.insert(block.returns, returned(text))
  return block.returns[#block.returns]
end

function tags.async(block) block.async = true end

local function tag(block, name, text)
  if tags[name] then return tags[name](block, text) end
end

-- ---- lines ----

local function new_block(line)
  return { kind = "text", doc = {}, at = {}, fields = {}, params = {}, returns = {}, line = line }
end

-- `open` is what a line without a tag continues: a field, parameter or return; or nothing.
local function annotate(block, text, open, number)
  local value, doc = text:match("^|%s*(.-)%s*#%s*(.*)$")
  if not value then value = text:match("^|%s*(.-)%s*$") end
  if value and block.values then
    table.insert(block.values, { type = value, doc = doc or "" })
    return nil
  end
  local name, rest = text:match("^@([%a]+)%s*(.*)$")
  if name then return tag(block, name, rest) end
  if open and text ~= "" then
    open.doc = open.doc .. " " .. text:gsub("^%s+", "")
    return open
  end
  table.insert(block.doc, text)
  table.insert(block.at, number)
  return nil
end

local function declare(block, line, owners)
  local owner, mark, name, arguments = line:match("^function ([%w_.]+)([.:])([%w_]+)%((.-)%)")
  if not owner then
    local variable = line:match("^local ([%w_]+) = ")
    if variable and block.kind == "class" then owners[variable] = block.name end
    if block.kind ~= "text" then return end
    name, arguments = line:match("^function ([%w_]+)%((.-)%)")
    if not name then return end
  end
  block.kind, block.name, block.owner = "function", name, owners[owner] or owner
  block.variable, block.method, block.arguments = owner, mark == ":", {}
  for argument in arguments:gmatch("[%w_.]+") do table.insert(block.arguments, argument) end
end

-- A row of dashes is no annotation; dashes before something else are (`-----> 3` in an example).
local function comment_of(line)
  local text = line:match("^%-%-%-(.*)$")
  return text and not text:find("^%-+$") and text or nil
end

-- Files write "---Text" or "--- Text": as the first line has it, that blank goes.
local function unindent(block)
  local first = block.doc[1]
  if first == "" then first = block.doc[2] end
  if not first or not (first:find("^ [^ ]") or first:find("^     ")) then return end
  for i, line in ipairs(block.doc) do block.doc[i] = line:gsub("^ ", "") end
end

--- The blocks of a file's text.
function M.read(text)
  local blocks, owners, block, open, number = {}, {}, nil, nil, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local comment = comment_of(line)
    if comment and not (comment:find("^@meta") and not block) then
      block = block or new_block(number)
      open = annotate(block, comment:find("^ @") and comment:sub(2) or comment, open, number)
    elseif block or line:find("^function ") then
      block = block or new_block(number)
      declare(block, line, owners)
      unindent(block)
      blocks[#blocks + 1] = block
      block, open = nil, nil
    end
  end
  return blocks
end

-- ---- examples ----

--- The fenced examples (```lua) of a block: {code, line}.
function M.examples(block)
  local found, code, first = {}, nil, nil
  for i, line in ipairs(block.doc) do
    if code and line:find("^```%s*$") then
      found[#found + 1] = { code = table.concat(code, "\n") .. "\n", line = first }
      code = nil
    elseif code then code[#code + 1] = line
    elseif line:find("^```lua%s*$") then code, first = {}, block.at[i] + 1 end
  end
  if code then error(("line %d: the example that begins here has no end"):format(first), 0) end
  return found
end

return M
