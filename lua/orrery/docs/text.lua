--- text -- the plain text of annotations as blocks: paragraphs, lists, code. Pure.
--
-- A block is {kind = "para", text}, {kind = "item", text} or {kind = "code", text}. Within a text,
-- `x` is code: see spans().
local M = {}

local function flush(blocks, open)
  if open then
    open.text = table.concat(open, open.kind == "code" and "\n" or " ")
    blocks[#blocks + 1] = open
  end
end

-- What a line of an open block means: the kind of block that it belongs to, and its text.
local function classify(line, open)
  if line:find("^```") then return "fence" end
  if open and open.fenced then return "code", line end
  if line:find("^%s*$") then return "blank" end
  if line:find("^    ") and not (open and open.kind ~= "code") then return "code", line:sub(5) end
  local item = line:match("^%s?%s?[*-] (.*)$")
  if item then return "item", item end
  local kind = open and open.kind ~= "code" and open.kind or "para"
  return kind, line:match("^%s*(.*)$")
end

-- A blank line within code belongs to it if more follows.
local function take(blocks, open, kind, text, line)
  if kind == "fence" then
    flush(blocks, open)
    return not (open and open.fenced) and { kind = "code", fenced = true } or nil
  elseif kind == "blank" then
    if open and open.kind == "code" then
      open.blank = true
      return open
    end
    flush(blocks, open)
    return nil
  end
  if not open or open.kind ~= kind or kind == "item" and line:find("^%s?%s?[*-] ") then
    flush(blocks, open)
    open = { kind = kind }
  elseif open.blank then
    open[#open + 1] = ""
  end
  open.blank = nil
  open[#open + 1] = text
  return open
end

--- The blocks of lines.
function M.blocks(lines)
  local blocks, open = {}, nil
  for _, line in ipairs(lines) do
    local kind, text = classify(line, open)
    open = take(blocks, open, kind, text, line)
  end
  flush(blocks, open)
  return blocks
end

--- The parts of a text: {text} or {text, code = true}.
function M.spans(text)
  local parts, at = {}, 1
  while at <= #text do
    local first, last, code = text:find("`([^`]+)`", at)
    if first ~= at then parts[#parts + 1] = { text = text:sub(at, (first or 0) - 1) } end
    if not first then break end
    parts[#parts + 1] = { text = code, code = true }
    at = last + 1
  end
  return parts
end

return M
