local support = require "support"
local core = require "orrery.core"
local graph_svg = require "orrery.graph_svg"

local function picture(spec, options)
  local plan = assert(core.graph.solve(spec))
  options = options or {}
  options.critical = core.graph.critical(spec).path
  return graph_svg.render(spec, plan, options), plan
end

-- Read back by another program's XML parser: boxes {name, x, y, width, height, class}, the classes
-- and titles of the lines, all texts, and the size.
local READER = [[
import json, sys, xml.etree.ElementTree as tree
ns = "{http://www.w3.org/2000/svg}"
root = tree.parse(sys.stdin).getroot()
assert root.tag == ns + "svg"
boxes = []
for g in root.iter(ns + "g"):
    rect = g.find(ns + "rect")
    box = {key: float(rect.get(key)) for key in ("x", "y", "width", "height")}
    boxes.append(dict(box, name=g.find(ns + "title").text, kind=g.get("class")))
lines = [{"kind": p.get("class"), "title": p.find(ns + "title").text, "path": p.get("d"),
          "markers": [a for a in ("marker-start", "marker-end") if p.get(a)]}
         for p in root.iter(ns + "path") if p.find(ns + "title") is not None]
ids = {m.get("id") for m in root.iter(ns + "marker")}
for p in root.iter(ns + "path"):
    for a in ("marker-start", "marker-end"):
        assert p.get(a) is None or p.get(a)[5:-1] in ids, p.get(a)
print(json.dumps({"boxes": boxes, "lines": lines, "texts": [t.text for t in root.iter(ns + "text")],
                  "width": float(root.get("width")), "height": float(root.get("height"))}))
]]

local function parsed(svg)
  local result = assert(core.process.run { argv = { "python3", "-c", READER }, input = svg,
    maxOutput = 1 << 24 })
  assert.equal(0, result.code, result.stderr)
  return assert(core.json.decode(result.stdout))
end

local function assert_apart(seen)
  for i, a in ipairs(seen.boxes) do
    assert.is_true(a.x >= 0 and a.y >= 0)
    assert.is_true(a.x + a.width <= seen.width and a.y + a.height <= seen.height)
    for k = 1, i - 1 do
      local b = seen.boxes[k]
      local apart = a.x + a.width < b.x or b.x + b.width < a.x
        or a.y + a.height < b.y or b.y + b.height < a.y
      if not apart then error(a.name .. " lies over " .. b.name) end -- of half a million pairs
    end
  end
end

local function named(seen)
  local boxes = {}
  for _, box in ipairs(seen.boxes) do boxes[box.name] = box end
  return boxes
end

local TYPES = { "required", "required", "required", "optional", "soft", "circular" }

local function random_graph(size, edges)
  local spec = { nodes = {}, edges = {} }
  for i = 1, size do spec.nodes[i] = ("service-%d"):format(i) end
  for _ = 1, edges do
    local a, b = math.random(size), math.random(size)
    local type = TYPES[math.random(#TYPES)]
    if a < b and type == "required" then a, b = b, a end
    if a ~= b then
      table.insert(spec.edges, { from = spec.nodes[a], to = spec.nodes[b], type = type })
    end
  end
  return spec
end

local FOUR = {
  nodes = { "database", "redis", "pds", "appview", "ozone" },
  edges = {
    { from = "pds", to = "database", type = "required" },
    { from = "pds", to = "redis", type = "optional" },
    { from = "appview", to = "pds", type = "required" },
    { from = "appview", to = "database", type = "soft" },
    { from = "ozone", to = "pds", type = "required" },
    { from = "pds", to = "ozone", type = "circular" },
  },
}

describe("a graph's picture", function()
  it("has a box for each service, in the column of its wave", function()
    local seen = parsed(picture(FOUR, { details = { pds = "node  :3000" } }))
    assert_apart(seen)
    local boxes = named(seen)
    assert.equal(5, #seen.boxes)
    assert.equal(boxes.database.x, boxes.redis.x)
    assert.is_true(boxes.database.x + boxes.database.width < boxes.pds.x)
    assert.is_true(boxes.pds.x + boxes.pds.width < boxes.appview.x)
    assert.equal(boxes.appview.x, boxes.ozone.x)
    local texts = table.concat(seen.texts, "|")
    for _, text in ipairs { "WAVE 1", "WAVE 3", "pds", "node  :3000", "optional", "circular" } do
      assert.truthy(texts:find(text, 1, true), text)
    end
  end)

  it("has a line for each edge, of its type, with its arrow at the dependency", function()
    local seen, by_title = parsed(picture(FOUR)), {}
    for _, line in ipairs(seen.lines) do by_title[line.title] = line end
    assert.equal(6, #seen.lines)
    assert.equal("edge optional", by_title["pds needs redis (optional)"].kind)
    assert.equal("edge soft", by_title["appview needs database (soft)"].kind)
    assert.equal("edge circular", by_title["pds needs ozone (circular)"].kind)
    assert.same({ "marker-start" }, by_title["pds needs redis (optional)"].markers)
    assert.same({ "marker-end" }, by_title["pds needs ozone (circular)"].markers)
  end)

  it("shows the longest chain", function()
    local seen = parsed(picture(FOUR))
    local boxes, chain = named(seen), 0
    assert.equal("node critical", boxes.pds.kind)
    assert.equal("node", boxes.redis.kind)
    for _, line in ipairs(seen.lines) do
      if line.kind:find("critical") then chain = chain + 1 end
    end
    assert.equal(2, chain)
  end)

  it("shows what a cycle dropped", function()
    local seen = parsed(picture { nodes = { "a", "b" }, edges = {
      { from = "a", to = "b", type = "required" }, { from = "b", to = "a", type = "optional" } } })
    assert.equal("edge optional dropped", seen.lines[2].kind)
    assert.matches("orders nothing", seen.lines[2].title, 1, true)
  end)

  it("draws no line through a box", function()
    -- a chain, and an edge that passes all of it
    local spec = { nodes = {}, edges = { { from = "n9", to = "n1", type = "required" } } }
    for i = 1, 9 do
      spec.nodes[i] = "n" .. i
      if i > 1 then
        table.insert(spec.edges, { from = "n" .. i, to = "n" .. i - 1, type = "required" })
      end
    end
    local seen = parsed(picture(spec))
    local boxes = named(seen)
    local passed = 0
    for y, x in seen.lines[1].path:gmatch("([%d.]+)H([%d.]+)") do
      for i = 2, 8 do
        local box = boxes["n" .. i]
        local over = tonumber(x) == box.x + box.width
        if over then
          passed = passed + 1
          assert.is_true(tonumber(y) < box.y or tonumber(y) > box.y + box.height)
        end
      end
    end
    assert.equal(7, passed)
  end)

  it("escapes names, and shortens long ones", function()
    local long = ("x"):rep(300)
    local seen = parsed(picture({ edges = {}, nodes = { '<a> & "b"', "\1\127\27[31m", "\xff\xfe",
      "naïve-ü", long, "]]>", "\239\191\191" } }, { title = "<&>" }))
    local boxes = named(seen)
    assert.truthy(boxes['<a> & "b"'])
    assert.truthy(boxes["???[31m"])
    assert.truthy(boxes["??"])
    assert.truthy(boxes["naïve-ü"])
    assert.truthy(boxes["]]>"])
    assert.truthy(boxes[long])
    assert.is_true(boxes[long].width < 400)
    assert_apart(seen)
  end)

  it("is whole for no services and for one", function()
    assert.same({}, parsed(picture { nodes = {}, edges = {} }).boxes)
    local seen = parsed(picture { nodes = { "a" },
      edges = { { from = "a", to = "a", type = "optional" } } })
    assert.equal(1, #seen.boxes)
  end)

  it("never lays one box over another, and is the same each time", function()
    math.randomseed(2)
    for _ = 1, 20 do
      local spec = random_graph(math.random(60), math.random(0, 120))
      local svg = picture(spec)
      assert_apart(parsed(svg))
      assert.equal(svg, (picture(spec)))
    end
  end)

  it("takes out crossings that need not be", function()
    -- by name the lines would all cross: a1 to z9, a2 to z8 ...
    local spec = { nodes = {}, edges = {} }
    for i = 1, 9 do
      table.insert(spec.nodes, "a" .. i)
      table.insert(spec.nodes, "z" .. i)
      table.insert(spec.edges, { from = "z" .. 10 - i, to = "a" .. i, type = "required" })
    end
    local layout = require("orrery.graph_layout").make(spec, core.graph.solve(spec).waves, 1000)
    assert.equal(0, layout.crossings)
  end)

  it("is refused for what no picture can show", function()
    local spec = { nodes = {}, edges = {} }
    for i = 1, 1001 do spec.nodes[i] = "n" .. i end
    local svg, message = graph_svg.render(spec, core.graph.solve(spec), {})
    assert.is_nil(svg)
    assert.matches("1001 names", message, 1, true)
    spec = { nodes = {}, edges = {} }
    for i = 1, 300 do
      spec.nodes[i] = ("n%03d"):format(i)
      for k = 1, i - 1 do
        table.insert(spec.edges, { from = spec.nodes[i], to = spec.nodes[k], type = "required" })
      end
    end
    svg, message = graph_svg.render(spec, core.graph.solve(spec), {})
    assert.is_nil(svg)
    assert.matches("long edges", message, 1, true)
  end)

  -- A script that runs for a second without waiting is stopped: the picture may not take that long.
  it("is drawn of one thousand services before the task would be stopped", function()
    math.randomseed(4)
    local spec = random_graph(1000, 1000)
    local task = core.task.spawn(function() return (assert(picture(spec))) end)
    local seen = parsed(assert(task:join(60)))
    assert.equal(1000, #seen.boxes)
    assert_apart(seen)
  end)
end)

describe("orrery graph --svg", function()
  local function orrery(argv, input)
    local result = assert(core.process.run { argv = { support.binary(), table.unpack(argv) },
      env = support.env(), input = input, maxOutput = 1 << 24 })
    return result.code, result.stdout, result.stderr
  end

  it("shows a profile and a file of pairs", function()
    local code, svg = orrery { "-f", "simple-pds", "graph", "--svg" }
    assert.equal(0, code)
    assert.truthy(named(parsed(svg)).pds)
    code, svg = orrery({ "graph", "--edges", "-", "--svg" }, "a b b c a c d d")
    assert.equal(0, code)
    assert.equal(4, #parsed(svg).boxes)
  end)

  it("says why there is none", function()
    local parts = {}
    for i = 1, 1001 do parts[i] = ("n%d n%d"):format(i, i) end
    local code, _, err = orrery({ "graph", "--edges", "-", "--svg" }, table.concat(parts, "\n"))
    assert.equal(1, code)
    assert.truthy(err:find("1001 names", 1, true), err)
  end)
end)
