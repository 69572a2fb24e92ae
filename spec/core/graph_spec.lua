require "support"
local graph = require("orrery.core").graph

-- A graph from a sentence: "pds>database, pds?redis, pds~cdn, ozone@pds" with > required,
-- ? optional, ~ soft, @ circular; a lone word is a node.
local types = { [">"] = "required", ["?"] = "optional", ["~"] = "soft", ["@"] = "circular" }

local function parse(text)
  local spec = { nodes = {}, edges = {} }
  for item in text:gmatch("[^,%s]+") do
    local from, sign, to = item:match("^([%w-]+)([>?~@])([%w-]+)$")
    table.insert(spec.nodes, from or item)
    if from then
      table.insert(spec.nodes, to)
      table.insert(spec.edges, { from = from, to = to, type = types[sign] })
    end
  end
  return spec
end

local function waves(text)
  local lines = {}
  for _, wave in ipairs(assert(graph.solve(parse(text))).waves) do
    table.insert(lines, table.concat(wave, " "))
  end
  return table.concat(lines, " | ")
end

local function edges(list)
  local words = {}
  for _, edge in ipairs(list) do table.insert(words, edge.from .. ">" .. edge.to) end
  return table.concat(words, " ")
end

local function cycles(text)
  local plan, message, code, details = graph.solve(parse(text))
  assert.is_nil(plan)
  assert.equal("cycle", code)
  return details.cycles, message
end

describe("graph.solve", function()
  it("solves the empty graph", function()
    assert.same({ order = {}, waves = {}, stop = {}, dropped = {} }, graph.solve { nodes = {} })
  end)

  -- The ancestor's sort had its edges reversed: dependents came before what they need.
  it("puts dependencies before dependents", function()
    local plan = assert(graph.solve(parse "pds>database, appview>pds"))
    assert.same({ "database", "pds", "appview" }, plan.order)
    assert.same({ "appview", "pds", "database" }, plan.stop)
  end)

  -- The ancestor lost a dependency that two services shared.
  it("keeps a dependency that several share", function()
    assert.equal("database | ozone pds plc | appview",
      waves "plc>database, pds>database, ozone>database, appview>pds, appview>database")
  end)

  it("breaks ties by name, whatever the order of the input", function()
    assert.equal("a b c | d", waves "c, d>c, b, d>a, a")
    assert.equal("a b c | d", waves "d>a, a, b, d>c")
    assert.equal("service-1 service-10 service-2", waves "service-10, service-2, service-1")
  end)

  it("takes an edge given twice as one", function()
    assert.equal("a | b", waves "b>a, b>a, b?a, b~a")
  end)

  it("orders by optional and soft edges where no cycle forbids", function()
    local plan = assert(graph.solve(parse "pds?redis, pds~cdn"))
    assert.same({ { "cdn", "redis" }, { "pds" } }, plan.waves)
    assert.same({}, plan.dropped)
  end)

  it("drops optional and soft edges that lie on a cycle, and says so", function()
    local plan = assert(graph.solve(parse "a>b, b?a, c~d, d~c, e?c, e?c"))
    assert.same({ { "b", "c", "d" }, { "a", "e" } }, plan.waves)
    assert.same({
      { from = "b", to = "a", type = "optional" },
      { from = "c", to = "d", type = "soft" },
      { from = "d", to = "c", type = "soft" },
    }, plan.dropped)
  end)

  it("lets soft edges give way to optional ones", function()
    local plan = assert(graph.solve(parse "a?b, b~a"))
    assert.same({ { "b" }, { "a" } }, plan.waves)
    assert.equal("b>a", edges(plan.dropped))
  end)

  it("drops an optional edge from a node to itself", function()
    assert.equal("a>a", edges(assert(graph.solve(parse "a?a, a@a")).dropped))
  end)

  -- In the ancestor circular was a documented type, and any cycle threw.
  it("never orders by circular edges", function()
    assert.equal("ozone pds", waves "pds@ozone, ozone@pds")
    assert.equal("ozone | pds", waves "pds>ozone, ozone@pds")
  end)

  it("names both ends of an edge to what is not there", function()
    local plan, message, code = graph.solve {
      nodes = { "pds" }, edges = { { from = "pds", to = "databse" } },
    }
    assert.is_nil(plan)
    assert.equal("'pds' depends on 'databse', which is not in the graph", message)
    assert.equal("not_found", code)
    message = select(2, graph.solve { nodes = { "pds" }, edges = { { from = "x", to = "pds" } } })
    assert.equal("'x' depends on 'pds', but there is no 'x' in the graph", message)
  end)

  it("raises for a malformed table, naming the place", function()
    assert.error_matches(function() graph.solve {} end, "nodes")
    assert.error_matches(function() graph.solve { nodes = { 1 } } end, "nodes%[1%]")
    assert.error_matches(function() graph.solve { nodes = { "a\0b" } } end, "nodes%[1%]")
    assert.error_matches(function() graph.solve { nodes = { "" } } end, "nodes%[1%]")
    assert.error_matches(function() graph.solve { nodes = {}, edges = { 1 } } end, "edges%[1%]")
    assert.error_matches(function()
      graph.solve { nodes = { "a" }, edges = { { from = "a", to = "a", type = "requird" } } }
    end, "edges%[1%].type: must be one of")
  end)

  it("holds a chain of 200,000 names without a deep stack", function()
    local spec = { nodes = {}, edges = {} }
    for i = 1, 200000 do
      spec.nodes[i] = ("n%07d"):format(i)
      if i > 1 then spec.edges[i - 1] = { from = spec.nodes[i], to = spec.nodes[i - 1] } end
    end
    local plan = assert(graph.solve(spec))
    assert.equal(200000, #plan.waves)
    assert.equal("n0200000", plan.order[200000])
    table.insert(spec.edges, { from = spec.nodes[1], to = spec.nodes[200000] })
    local _, message, _, details = graph.solve(spec)
    assert.equal(200001, #details.cycles[1].cycle)
    assert.equal(1, #details.cycles[1].cut)
    assert.is_true(#message < 1000)
  end)
end)

describe("a cycle of required edges", function()
  it("is told as a path", function()
    local found, message = cycles "pds>appview, appview>pds, pds>database"
    assert.equal("Circular dependency detected: pds -> appview -> pds", message)
    assert.equal(1, #found)
    assert.same({ "appview", "pds" }, found[1].members)
    assert.same({ "pds", "appview", "pds" }, found[1].cycle)
    assert.is_true(found[1].shortest)
    assert.equal("appview>pds", edges(found[1].cut))
    assert.is_true(found[1].exact)
  end)

  it("may be a node that needs itself", function()
    local found, message = cycles "a>a, b>a"
    assert.equal("Circular dependency detected: a -> a", message)
    assert.same({ "a" }, found[1].members)
    assert.equal("a>a", edges(found[1].cut))
  end)

  it("is reported once for each component, with its shortest cycle", function()
    local found, message = cycles "a>b, b>c, c>d, d>a, c>b, x>y, y>x, a>x"
    assert.equal("Circular dependency detected: c -> b -> c; y -> x -> y", message)
    assert.equal(2, #found)
    assert.same({ "a", "b", "c", "d" }, found[1].members)
    assert.same({ "x", "y" }, found[2].members)
  end)

  it("is cut at the fewest edges", function()
    -- Four cycles share the edge hub>a; greedy walks from elsewhere cut more.
    local found = cycles "hub>a, a>b, a>c, a>d, b>hub, c>hub, d>hub"
    assert.equal("hub>a", edges(found[1].cut))
  end)

  it("is no error once an edge of it is optional or circular", function()
    assert.equal("appview | pds", waves "pds>appview, appview@pds")
    assert.equal("appview | pds", waves "pds>appview, appview?pds")
  end)
end)

describe("graph.needs and graph.dependents", function()
  local spec = parse "pds>database, pds@ozone, ozone>plc, plc>database, pds?redis, x~pds, y>pds"

  it("follow required and circular edges", function()
    assert.same({ "database", "ozone", "pds", "plc" }, graph.needs(spec, { "pds" }))
    assert.same({ "database", "ozone", "pds", "plc", "y" }, graph.dependents(spec, { "database" }))
    assert.same({ "redis", "x" }, graph.needs(spec, { "x", "redis", "x" }))
    assert.same({}, graph.needs(spec, {}))
  end)

  it("refuse a name that is not there", function()
    local names, message, code = graph.needs(spec, { "pdss" })
    assert.is_nil(names)
    assert.equal("'pdss' is not in the graph", message)
    assert.equal("not_found", code)
  end)
end)

-- ---- random graphs against a naive reference ----

local letters = { "required", "required", "optional", "soft", "circular" }

local function random_graph(size, density)
  local spec = { nodes = {}, edges = {} }
  for i = 1, size do spec.nodes[i] = "n" .. i end
  for _ = 1, density do
    table.insert(spec.edges, {
      from = spec.nodes[math.random(size)],
      to = spec.nodes[math.random(size)],
      type = letters[math.random(#letters)],
    })
  end
  return spec
end

-- reach[a][b]: b can be reached from a over at least one edge (Warshall).
local function reachable(spec, accept)
  local reach = {}
  for _, a in ipairs(spec.nodes) do reach[a] = {} end
  for _, edge in ipairs(spec.edges) do
    if accept(edge) then reach[edge.from][edge.to] = true end
  end
  for _, via in ipairs(spec.nodes) do
    for _, a in ipairs(spec.nodes) do
      if reach[a][via] then
        for b in pairs(reach[via]) do reach[a][b] = true end
      end
    end
  end
  return reach
end

local function accept_types(...)
  local set = {}
  for _, name in ipairs { ... } do set[name] = true end
  return function(edge) return set[edge.type] end
end

local function cyclic(spec, reach)
  for _, name in ipairs(spec.nodes) do
    if reach[name][name] then return true end
  end
  return false
end

local function key(edge) return edge.from .. " " .. edge.to .. " " .. edge.type end

local function expected_dropped(spec)
  local optional = reachable(spec, accept_types("required", "optional"))
  local dropped = {}
  for _, edge in ipairs(spec.edges) do
    if edge.type == "optional" and optional[edge.to][edge.from] or
      edge.type == "optional" and edge.to == edge.from then
      dropped[key(edge)] = true
    end
  end
  local kept = accept_types("required", "optional", "soft")
  local all = reachable(spec, function(edge) return kept(edge) and not dropped[key(edge)] end)
  for _, edge in ipairs(spec.edges) do
    if edge.type == "soft" and (all[edge.to][edge.from] or edge.to == edge.from) then
      dropped[key(edge)] = true
    end
  end
  return dropped
end

-- The wave of a node is one more than the highest of what it waits for.
local function expected_waves(spec, dropped)
  local wave, ordering = {}, accept_types("required", "optional", "soft")
  for _, name in ipairs(spec.nodes) do wave[name] = 1 end
  for _ = 1, #spec.nodes do
    for _, edge in ipairs(spec.edges) do
      if ordering(edge) and not dropped[key(edge)] then
        wave[edge.from] = math.max(wave[edge.from], wave[edge.to] + 1)
      end
    end
  end
  return wave
end

local function check_plan(spec, plan)
  local dropped = expected_dropped(spec)
  local told = {}
  for _, edge in ipairs(plan.dropped) do
    assert.is_nil(told[key(edge)])
    told[key(edge)] = true
  end
  assert.same(dropped, told)
  local wave, order = expected_waves(spec, dropped), {}
  for number, names in ipairs(plan.waves) do
    for i, name in ipairs(names) do
      assert.equal(wave[name], number)
      assert.is_true(i == 1 or names[i - 1] < name)
      table.insert(order, name)
    end
  end
  assert.equal(#spec.nodes, #order)
  assert.same(order, plan.order)
  for i, name in ipairs(order) do assert.equal(name, plan.stop[#order + 1 - i]) end
end

-- Breadth first from one node: the edges of the shortest cycle through it.
local function cycle_through(spec, start)
  local distance, queue, head = { [start] = 0 }, { start }, 1
  while queue[head] do
    local node = queue[head]
    head = head + 1
    for _, edge in ipairs(spec.edges) do
      if edge.type == "required" and edge.from == node then
        if edge.to == start then return distance[node] + 1 end
        if not distance[edge.to] then
          distance[edge.to] = distance[node] + 1
          table.insert(queue, edge.to)
        end
      end
    end
  end
end

local function required_edge(spec, from, to)
  for _, edge in ipairs(spec.edges) do
    if edge.type == "required" and edge.from == from and edge.to == to then return true end
  end
  return false
end

local function without(cut)
  local set = {}
  for _, edge in ipairs(cut) do set[edge.from .. " " .. edge.to] = true end
  return function(edge)
    return edge.type == "required" and not set[edge.from .. " " .. edge.to]
  end
end

local function check_cycle(spec, reach, knot)
  for _, a in ipairs(knot.members) do
    for _, b in ipairs(spec.nodes) do
      local together = reach[a][b] and reach[b][a] or false
      local member = false
      for _, name in ipairs(knot.members) do member = member or name == b end
      assert.equal(together, member)
    end
  end
  assert.equal(knot.cycle[1], knot.cycle[#knot.cycle])
  for i = 2, #knot.cycle do
    assert.is_true(required_edge(spec, knot.cycle[i - 1], knot.cycle[i]))
  end
  for _, name in ipairs(knot.members) do
    assert.is_true(cycle_through(spec, name) >= #knot.cycle - 1)
  end
end

local function check_cut(spec, details)
  local all = {}
  for _, knot in ipairs(details.cycles) do
    for _, edge in ipairs(knot.cut) do table.insert(all, edge) end
  end
  assert.is_false(cyclic(spec, reachable(spec, without(all))))
  for spared = 1, #all do
    local fewer = table.move(all, 1, #all, 1, {})
    table.remove(fewer, spared)
    assert.is_true(cyclic(spec, reachable(spec, without(fewer))))
  end
end

local function check_knots(spec, details)
  local reach, count, seen = reachable(spec, accept_types("required")), 0, {}
  for _, knot in ipairs(details.cycles) do
    check_cycle(spec, reach, knot)
    for _, name in ipairs(knot.members) do
      assert.is_nil(seen[name])
      seen[name] = true
    end
  end
  for _, name in ipairs(spec.nodes) do
    if reach[name][name] then count = count + 1 end
    assert.equal(reach[name][name] or nil, seen[name])
  end
  assert.is_true(count > 0)
  check_cut(spec, details)
end

-- The size of the smallest set of required edges that breaks every cycle of one component.
local function smallest_cut(spec, knot)
  local member, list, set = {}, {}, {}
  for _, name in ipairs(knot.members) do member[name] = true end
  for _, edge in ipairs(spec.edges) do
    local id = edge.from .. " " .. edge.to
    if edge.type == "required" and member[edge.from] and member[edge.to] and not set[id] then
      set[id] = true
      table.insert(list, edge)
    end
  end
  if #list > 8 then return nil end
  local best = #list
  for subset = 1, (1 << #list) - 1 do
    local cut, kept = {}, { nodes = knot.members, edges = list }
    for i = 1, #list do
      if subset >> (i - 1) & 1 == 1 then table.insert(cut, list[i]) end
    end
    if #cut < best and not cyclic(kept, reachable(kept, without(cut))) then best = #cut end
  end
  return best
end

local function shuffled(spec)
  local copy = { nodes = { table.unpack(spec.nodes) }, edges = { table.unpack(spec.edges) } }
  for _, list in pairs(copy) do
    for i = #list, 2, -1 do
      local j = math.random(i)
      list[i], list[j] = list[j], list[i]
    end
  end
  return copy
end

describe("on random graphs", function()
  local seed = os.time()

  local function check_one(spec)
    local plan, message, code, details = graph.solve(spec)
    if plan then
      assert.is_false(cyclic(spec, reachable(spec, accept_types("required"))))
      check_plan(spec, plan)
    else
      assert.equal("cycle", code)
      check_knots(spec, details)
      for _, knot in ipairs(details.cycles) do
        local best = smallest_cut(spec, knot)
        if best then assert.equal(best, #knot.cut) end
      end
    end
    assert.same({ plan, message, code, details }, { graph.solve(shuffled(spec)) })
    return plan ~= nil
  end

  it("agrees with a naive reference", function()
    math.randomseed(seed)
    local solved, refused = 0, 0
    for round = 1, 400 do
      local size = math.random(12)
      local spec = random_graph(size, math.random(0, 2 * size))
      local ok, result = pcall(check_one, spec)
      if not ok then error(("seed %d, round %d: %s"):format(seed, round, tostring(result)), 0) end
      if result then solved = solved + 1 else refused = refused + 1 end
    end
    assert.is_true(solved > 20 and refused > 20)
  end)

  it("reaches the same closure as a naive reference", function()
    math.randomseed(seed)
    for _ = 1, 100 do
      local spec = random_graph(10, math.random(20))
      local reach = reachable(spec, accept_types("required", "circular"))
      local needs, dependents = { n1 = true }, { n1 = true }
      for _, name in ipairs(spec.nodes) do
        if reach.n1[name] then needs[name] = true end
        if reach[name].n1 then dependents[name] = true end
      end
      local function set(list)
        local result = {}
        for _, name in ipairs(list) do result[name] = true end
        return result
      end
      assert.same(needs, set(graph.needs(spec, { "n1" })))
      assert.same(dependents, set(graph.dependents(spec, { "n1" })))
    end
  end)
end)
