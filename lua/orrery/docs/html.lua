--- html -- the pages as one HTML document that stands alone: no script, nothing from
-- elsewhere. Pure.
local style = require "orrery.docs.style"
local text = require "orrery.docs.text"

local M = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escaped(words) return (words:gsub('[&<>"]', ENTITIES)) end

-- "orrery-lua(3)" in a text leads to that page.
local function linked(words, all)
  return (escaped(words):gsub("(orrery[%w-]*)%((%d)%)", function(name, section)
    for _, page in ipairs(all) do
      if page.name == name and tostring(page.section) == section then
        return ('<a href="#page-%s">%s(%s)</a>'):format(name, name, section)
      end
    end
  end))
end

local function inline(words, all)
  local parts = {}
  for _, span in ipairs(text.spans(words)) do
    parts[#parts + 1] = span.code and "<code>" .. escaped(span.text) .. "</code>"
      or linked(span.text, all)
  end
  return table.concat(parts)
end

-- The name of a type or namespace leads to where it is told.
local function typed(words, all)
  return (escaped(words):gsub("orrery[%w._]*", function(name)
    local id = all.ids["type-" .. name] and "type-" .. name
      or "lua-" .. name:gsub("^orrery%.", "")
    return all.ids[id] and ('<a href="#%s">%s</a>'):format(id, name)
  end))
end

local function note(block, all)
  return block.note and (' <span class="note">%s</span>'):format(typed(block.note, all)) or ""
end

local function attribute(id) return id and (' id="%s"'):format(escaped(id)) or "" end

local writers = {}

function writers.para(block, all) return "<p>" .. inline(block.text, all) .. "</p>" end
function writers.item(block, all) return "<li>" .. inline(block.text, all) .. "</li>" end
function writers.code(block)
  return "<pre><code>" .. escaped(block.text) .. "</code></pre>"
end

function writers.heading(block, all)
  local words = escaped(block.text)
  if block.code then words = "<code>" .. words .. "</code>" end
  local tag, id = "h" .. block.level + 2, escaped(block.id)
  return ('<%s id="%s">%s%s <a class="anchor" href="#%s" aria-label="link">#</a></%s>'):format(
    tag, id, words, note(block, all), id, tag)
end

local write_all -- below

function writers.entry(block, all)
  local body = write_all(block.blocks, all)
  return ("<dt%s><code>%s</code>%s</dt>\n<dd>%s</dd>"):format(attribute(block.id),
    escaped(block.term), note(block, all), body)
end

local AROUND = { item = "ul", entry = "dl" }

-- Neighbours of one kind stand in one list.
function write_all(blocks, all)
  local lines, open = {}, nil
  for _, block in ipairs(blocks) do
    local around = AROUND[block.kind]
    if open and open ~= around then lines[#lines + 1] = "</" .. open .. ">" end
    if around and open ~= around then lines[#lines + 1] = "<" .. around .. ">" end
    open = around
    lines[#lines + 1] = writers[block.kind](block, all)
  end
  if open then lines[#lines + 1] = "</" .. open .. ">" end
  return table.concat(lines, "\n")
end

-- ---- contents ----

local function link(block)
  local words = escaped(block.text:gsub("%(.*$", ""))
  return ('<a href="#%s">%s</a>'):format(escaped(block.id), words)
end

-- Sections, each with what is below it folded away.
local function sections_of(page)
  local sections = {}
  for _, block in ipairs(page.blocks) do
    if block.kind == "heading" and block.level == 1 then
      sections[#sections + 1] = { block = block, below = {} }
    elseif block.kind == "heading" then
      table.insert(sections[#sections].below, link(block))
    end
  end
  return sections
end

local function contents_of(page)
  local lines = { ('<p><a href="#page-%s">%s(%d)</a></p>'):format(page.name, page.name,
    page.section), "<ul>" }
  for _, section in ipairs(sections_of(page)) do
    if #section.below == 0 then
      lines[#lines + 1] = "<li>" .. link(section.block) .. "</li>"
    else
      lines[#lines + 1] = ("<li><details><summary>%s</summary><ul><li>%s</li></ul></details></li>")
        :format(link(section.block), table.concat(section.below, "</li><li>"))
    end
  end
  lines[#lines + 1] = "</ul>"
  return table.concat(lines, "\n")
end

local function part(page, all)
  return ('<section>\n<h2 id="page-%s">%s(%d) <span class="note">%s</span></h2>\n%s\n</section>')
    :format(page.name, page.name, page.section, escaped(page.summary),
      write_all(page.blocks, all))
end

local FRAME = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<style>
%s</style>
</head>
<body>
<nav aria-label="contents">
<p class="title">Orrery <span class="note">%s</span></p>
%s
</nav>
<main>
<h1>%s</h1>
%s
</main>
</body>
</html>
]]

local function ids_of(all)
  local ids = {}
  for _, page in ipairs(all) do
    for _, block in ipairs(page.blocks) do if block.id then ids[block.id] = true end end
  end
  return ids
end

--- The document of all pages. facts = {version}
function M.document(pages, facts)
  local all = { ids = ids_of(pages), table.unpack(pages) }
  local contents, parts = {}, {}
  for i, page in ipairs(all) do contents[i], parts[i] = contents_of(page), part(page, all) end
  local title = "The Orrery manual"
  return FRAME:format(title, style, escaped(facts.version), table.concat(contents, "\n"), title,
    table.concat(parts, "\n"))
end

return M
