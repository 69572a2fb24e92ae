--- roff -- a page as man(7) source. Pure.
local text = require "orrery.docs.text"

local M = {}

local function escaped(words)
  words = words:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("'", "\\(aq"):gsub("`", "\\(ga")
    :gsub("%^", "\\(ha"):gsub("~", "\\(ti"):gsub("[\xC2-\xF4][\x80-\xBF]+", function(char)
      return ("\\[u%04X]"):format(utf8.codepoint(char))
    end)
  return (words:gsub("\n%.", "\n\\&."):gsub("^%.", "\\&."))
end

local WIDTH = 78

-- A line that begins with a dot would be a request.
local function wrapped(words)
  local lines, line = {}, nil
  for word in words:gmatch("%S+") do
    if line and #line + #word + 1 > WIDTH then
      lines[#lines + 1] = line
      line = nil
    end
    line = line and line .. " " .. word or word:gsub("^%.", "\\&.")
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- Code within a text is bold.
local function inline(words)
  local parts = {}
  for _, span in ipairs(text.spans(words)) do
    local part = escaped(span.text)
    parts[#parts + 1] = span.code and "\\fB" .. part .. "\\fP" or part
  end
  return wrapped(table.concat(parts))
end

local function argument(words) return '"' .. escaped(words):gsub('"', "\\(dq") .. '"' end

local function add(lines, ...) for _, line in ipairs { ... } do lines[#lines + 1] = line end end

local writers = {}

local function code_lines(code)
  local lines = {}
  for line in (code .. "\n"):gmatch("(.-)\n") do
    line = escaped(line)
    lines[#lines + 1] = line == "" and "\\&" or line
  end
  return table.concat(lines, "\n")
end

function writers.heading(lines, block)
  local words = block.code and block.text or block.text:upper()
  local note = block.note and " (" .. block.note .. ")" or ""
  if block.level == 1 then add(lines, ".SH " .. argument(words .. note))
  elseif block.level == 2 then add(lines, ".SS " .. argument(words .. note))
  else add(lines, ".PP", "\\fB" .. escaped(words) .. "\\fP" .. escaped(note)) end
end

function writers.para(lines, block) add(lines, ".PP", inline(block.text)) end
function writers.item(lines, block) add(lines, ".IP \\(bu 2", inline(block.text)) end

function writers.code(lines, block)
  add(lines, ".PP", ".RS 4", ".nf", code_lines(block.text), ".fi", ".RE")
end

-- What is within an entry stays in its indentation.
function writers.entry(lines, block)
  local note = block.note and " \\- " .. escaped(block.note) or ""
  add(lines, ".TP", "\\fB" .. escaped(block.term) .. "\\fP" .. note)
  if #block.blocks == 0 then add(lines, "\\&") end
  for i, inside in ipairs(block.blocks) do
    if i > 1 then add(lines, ".IP") end
    add(lines, inside.kind == "code" and code_lines(inside.text) or inline(inside.text))
  end
end

local function head(page, facts)
  return { '.\\" Written by make docs.',
    (".TH %s %d %s %s %s"):format(page.name:upper():gsub("%-", "\\-"), page.section,
      facts.date, argument("Orrery " .. facts.version), argument("Orrery manual")),
    ".SH NAME", escaped(page.name) .. " \\- " .. escaped(page.summary) }
end

local function see_also(page, all)
  local list = {}
  for _, other in ipairs(all) do
    if other ~= page then
      list[#list + 1] = ("\\fB%s\\fP(%d)"):format(escaped(other.name), other.section)
    end
  end
  return table.concat(list, ",\n")
end

-- A paragraph right behind a heading would be an empty one.
local function without_empty(lines)
  local result = {}
  for i, line in ipairs(lines) do
    local before = lines[i - 1] or ""
    if not (line == ".PP" and before:find("^%.S[HS]")) then result[#result + 1] = line end
  end
  return result
end

--- The text of the man page. facts = {version, date}; all: the pages that there are.
function M.page(page, facts, all)
  local lines = head(page, facts)
  for _, block in ipairs(page.blocks) do writers[block.kind](lines, block) end
  add(lines, ".SH \"SEE ALSO\"", see_also(page, all))
  return table.concat(without_empty(lines), "\n") .. "\n"
end

return M
