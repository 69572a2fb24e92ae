--- pages -- what the manual's pages are made of, whatever they are written as. Pure.
--
-- A page is {name, section, summary, blocks}. A block is {kind = ...}:
--   "heading"                     level (1 to 3), id, text; code = true: the text is code; note
--   "para", "item", "code"        text
--   "entry"                       term, id, note, blocks: one thing of a list, and what it means
local text = require "orrery.docs.text"

local M = {}

local methods = {}
methods.__index = methods

--- A new page, to which the methods add blocks in their order.
function M.new(name, section, summary)
  return setmetatable({ name = name, section = section, summary = summary, blocks = {} }, methods)
end

local function add(page, block) table.insert(page.blocks, block) end

--- A name as an anchor: "orrery.task.spawn()" as "orrery.task.spawn".
function M.id(prefix, name)
  return prefix .. name:gsub("[^%w._:-]+", "-"):gsub("%-+$", "")
end

function methods:heading(level, id, title, more)
  local block = { kind = "heading", level = level, id = id, text = title }
  for key, value in pairs(more or {}) do block[key] = value end
  add(self, block)
end

function methods:para(words, ...)
  add(self, { kind = "para", text = select("#", ...) > 0 and words:format(...) or words })
end

function methods:item(words) add(self, { kind = "item", text = words }) end

function methods:code(code) add(self, { kind = "code", text = code }) end

--- Lines of an annotation.
function methods:lines(lines)
  for _, block in ipairs(text.blocks(lines)) do add(self, block) end
end

--- more: {id, note}
function methods:entry(term, meaning, more)
  more = more or {}
  add(self, { kind = "entry", term = term, id = more.id, note = more.note,
    blocks = text.blocks { meaning or "" } })
end

return M
