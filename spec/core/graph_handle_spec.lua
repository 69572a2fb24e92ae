local support = require "support"
local core = require "orrery.core"
local graph = core.graph

local function built(...)
  local g = graph.new()
  for _, edge in ipairs { ... } do
    local from, sign, to = edge:match("^(%w+)([>?~@])(%w+)$")
    g:add_node(from or edge)
    if from then
      g:add_node(to)
      local types = { [">"] = "required", ["?"] = "optional", ["~"] = "soft", ["@"] = "circular" }
      assert(g:add_edge(from, to, types[sign]))
    end
  end
  return g
end

local function order(g) return table.concat(assert(g:solve()).order, " ") end

describe("graph.new", function()
  it("is empty, or what the spec says", function()
    assert.equal(0, #graph.new())
    assert.same({}, graph.new():solve().order)
    assert.equal("", graph.new():lines())
    local g = graph.new { nodes = { "pds", "db" }, edges = { { from = "pds", to = "db" } } }
    assert.equal(2, #g)
    assert.equal("db\npds\n", g:lines())
    local none, message, code = graph.new { nodes = {}, edges = { { from = "a", to = "b" } } }
    assert.is_nil(none)
    assert.truthy(message:find("'a' depends on 'b'", 1, true))
    assert.equal("not_found", code)
  end)

  it("grows call by call, by names and by numbers", function()
    local g = graph.new()
    local database, pds = g:add_node("database"), g:add_node("pds")
    assert.equal(database, g:add_node("database"))
    assert.is_true(g:add_edge(pds, database))
    assert.is_true(g:add_edge("pds", database, "optional"))
    assert.equal("database pds", order(g))
    assert.same({ { from = "pds", to = "database", type = "required" },
      { from = "pds", to = "database", type = "optional" } }, g:edges())
  end)

  it("takes many edges at once, with their ends", function()
    local g, one_by_one, names = graph.new(), graph.new(), {}
    for i = 1, 1500 do
      local from, to = "n" .. i * 7 % 400, "m" .. i * 13 % 300 .. ("x"):rep(i % 20)
      names[#names + 1], names[#names + 2] = from, to
      one_by_one:add_node(from)
      one_by_one:add_node(to)
      one_by_one:add_edge(from, to, "soft")
    end
    assert.is_true(g:add_edges(names, "soft"))
    assert.is_true(g:add_edges {})
    assert.same(one_by_one:edges(), g:edges())
    assert.same(one_by_one:nodes(), g:nodes())
    assert.equal(one_by_one:lines(), g:lines())
    g:remove_node("n7")
    assert.is_true(g:add_edges { "n7", "n8", "n8", "n9" })
    assert.equal("required", g:edges("n7")[1].type)
    assert.is_true(g:add_edges({ "n9", "n7" }))
    assert.equal("cycle", select(3, g:solve()))
  end)

  it("refuses half an edge, what is no name and what is no type", function()
    local g = graph.new()
    assert.has_error(function() g:add_edges { "a", "b", "c" } end,
      "bad argument #1 to 'add_edges' (needs an even number of names: dependent, dependency ...)")
    assert.has_error(function() g:add_edges { "a", 5 } end,
      "names[2]: expected a name, got a number")
    assert.has_error(function() g:add_edges { "a", "" } end)
    assert.has_error(function() g:add_edges({ "a", "b" }, "hard") end)
    assert.has_error(function() g:add_edges "a b" end)
    g:close()
    assert.has_error(function() g:add_edges { "a", "b" } end, "the graph is closed")
  end)

  it("refuses ends that are not there", function()
    local g = built("a")
    for _, ends in ipairs { { "a", "b" }, { "b", "a" }, { "a", 2 }, { 0, "a" }, { -1, "a" } } do
      local ok, message, code = g:add_edge(ends[1], ends[2])
      assert.is_nil(ok)
      assert.matches("is not in the graph", message, 1, true)
      assert.equal("not_found", code)
    end
    assert.error_matches(function() g:add_edge("a", "a", "requird") end, "must be one of required")
    assert.error_matches(function() g:add_node("") end, "1 to 4096 bytes")
    assert.error_matches(function() g:add_node(("x"):rep(4097)) end, "1 to 4096 bytes")
    assert.error_matches(function() g:add_node(7) end, "string expected")
  end)

  it("tells what touches a node, and what is reached from it", function()
    local g = built("pds>database", "pds?redis", "appview>pds", "ozone@pds", "pds~cdn")
    assert.same({ { from = "appview", to = "pds", type = "required" },
      { from = "ozone", to = "pds", type = "circular" },
      { from = "pds", to = "cdn", type = "soft" },
      { from = "pds", to = "database", type = "required" },
      { from = "pds", to = "redis", type = "optional" } }, g:edges("pds"))
    assert.same({ "appview", "database", "pds" }, g:needs { "appview" })
    assert.same({ "cdn", "pds" }, g:needs({ "pds" }, { "soft" }))
    assert.same({ "database", "pds", "redis" }, g:needs({ "pds" }, { "required", "optional" }))
    assert.same({ "appview", "ozone", "pds" }, g:dependents { "pds" })
    assert.same({ "pds", "redis" }, g:dependents({ "redis" }, { "optional" }))
    assert.error_matches(function() g:needs({ "pds" }, { "hard" }) end, "each must be required")
    assert.same({ "appview", "cdn", "database", "ozone", "pds", "redis" }, g:nodes())
    assert.equal("not_found", select(3, g:edges("x")))
  end)

  it("cannot be used once closed", function()
    local g = built("a")
    g:close()
    g:close()
    assert.error_matches(function() g:solve() end, "the graph is closed")
  end)
end)

describe("a running graph", function()
  it("loses a service with its edges, and takes it back", function()
    local g = built("pds>database", "appview>pds", "ozone>appview")
    assert.equal("database pds appview ozone", order(g))
    assert.is_true(g:remove_node("pds"))
    assert.equal(3, #g)
    assert.equal("appview database ozone", order(g))
    assert.same({ "appview", "database", "ozone" }, g:nodes())
    assert.equal("not_found", select(3, g:remove_node("pds")))
    assert.equal("not_found", select(3, g:add_edge("pds", "database")))
    assert.equal("not_found", select(3, g:needs { "pds" }))
    g:add_node("pds")
    assert.equal(4, #g)
    assert.is_true(g:add_edge("appview", "pds"))
    assert.equal("database pds appview ozone", order(g))
    assert.same({ "pds" }, g:needs { "pds" })
  end)

  it("loses edges, all between two nodes or those of a type", function()
    local g = built("a>b", "a?b", "a>c")
    assert.is_true(g:remove_edge("a", "b", "required"))
    assert.same({ { from = "a", to = "b", type = "optional" },
      { from = "a", to = "c", type = "required" } }, g:edges())
    local ok, message, code = g:remove_edge("a", "b", "required")
    assert.is_nil(ok)
    assert.equal("'a' has no required edge to 'b'", message)
    assert.equal("not_found", code)
    assert.is_true(g:remove_edge("a", "b"))
    assert.equal("'a' has no edge to 'b'", select(2, g:remove_edge("a", "b")))
  end)

  it("has a cycle only while its edges are there", function()
    local g = built("a>b", "b>a")
    local plan, message, code, details = g:solve()
    assert.is_nil(plan)
    assert.equal("Circular dependency detected: b -> a -> b", message)
    assert.equal("cycle", code)
    assert.equal(1, #details.cycles)
    assert.equal("cycle", select(3, g:lines()))
    assert.equal("cycle", select(3, g:critical()))
    g:remove_edge("b", "a")
    assert.equal("b a", order(g))
  end)

  -- Whatever was added and removed before, the answer is that of a graph made at once.
  it("answers as one that was made at once", function()
    math.randomseed(11)
    for _ = 1, 60 do
      local g, nodes, edges = graph.new(), {}, {}
      for _ = 1, 80 do
        local a, b = "n" .. math.random(9), "n" .. math.random(9)
        local what = math.random(5)
        if what <= 2 then
          g:add_node(a)
          nodes[a] = true
        elseif what == 3 then
          assert.equal(nodes[a] or nil, g:remove_node(a))
          nodes[a] = nil
          for key, edge in pairs(edges) do
            if edge.from == a or edge.to == a then edges[key] = nil end
          end
        elseif nodes[a] and nodes[b] and a ~= b then
          assert(g:add_edge(a, b, "optional"))
          edges[a .. b] = { from = a, to = b, type = "optional" }
        end
      end
      local spec = { nodes = {}, edges = {} }
      for name in pairs(nodes) do table.insert(spec.nodes, name) end
      for _, edge in pairs(edges) do table.insert(spec.edges, edge) end
      assert.same(graph.solve(spec), g:solve())
      assert.equal(#spec.nodes, #g)
    end
  end)
end)

describe("the critical path", function()
  local function path(g, seconds)
    local chain = assert(g:critical(seconds))
    assert.equal(#chain.path, chain.count)
    return table.concat(chain.path, " "), chain.seconds
  end

  it("is the longest chain", function()
    assert.equal("", path(graph.new()))
    assert.equal("database pds appview", path(built("pds>database", "appview>pds", "x>database")))
    assert.is_nil(select(2, path(built("a>b"))))
  end)

  it("is the slowest one, given seconds", function()
    local g = built("pds>database", "pds>plc", "appview>pds", "web>slow")
    local names, seconds = path(g, { database = 1, plc = 2, pds = 1, appview = 0.5, slow = 3 })
    assert.equal("plc pds appview", names)
    assert.equal(3.5, seconds)
    assert.equal("slow web", path(g, { slow = 9, web = 1, nobody = 100 }))
  end)

  it("is chosen by name among equals", function()
    assert.equal("a c", path(built("d>b", "c>a", "c>b")))
    assert.equal("a c", path(built("c>b", "c>a", "d>b")))
  end)

  it("passes over optional edges, and never over soft, circular or dropped ones", function()
    assert.equal("b a", path(built("a?b")))
    assert.equal("a", path(built("a~b", "c@a")))
    assert.equal("b a", path(built("a>b", "b?a")))
  end)

  it("is as long as there are waves, on random graphs of required edges", function()
    math.randomseed(5)
    for _ = 1, 100 do
      local spec = { nodes = {}, edges = {} }
      for i = 1, 12 do spec.nodes[i] = "n" .. math.random(40) end
      for i = 1, 20 do
        local a, b = spec.nodes[math.random(12)], spec.nodes[math.random(12)]
        if a ~= b then spec.edges[i] = { from = a < b and b or a, to = a < b and a or b } end
      end
      local edges = {}
      for _, edge in pairs(spec.edges) do table.insert(edges, edge) end
      spec.edges = edges
      assert.equal(#graph.solve(spec).waves, graph.critical(spec).count)
    end
  end)

  it("refuses seconds that are none", function()
    assert.error_matches(function() built("a"):critical { a = -1 } end, "seconds of 'a'")
    assert.error_matches(function() built("a"):critical { a = 0 / 0 } end, "seconds of 'a'")
    assert.error_matches(function() built("a"):critical { a = "x" } end, "seconds of 'a'")
  end)
end)

describe("graph.read", function()
  local function read(text, options)
    return graph.read(support.write(support.tmp() .. "/pairs", text), options)
  end

  local function refused(text, wanted, options)
    local g, message, code = read(text, options)
    assert.is_nil(g)
    assert.equal("invalid", code)
    assert.truthy(message:find(wanted, 1, true), message)
  end

  it("takes pairs over any white space, and a pair of equals as a node", function()
    assert.equal("a\nz\nb\nc\n", assert(read("a b\n\nb\tc\r\n  z z")):lines())
    assert.equal("", assert(read("")):lines())
    assert.equal("", assert(read(" \n ")):lines())
  end)

  it("says in which line half a pair stands", function()
    refused("a b\nc", 'pairs:2: an odd number of words: "c" has no partner')
    refused("a b\n\nc \n\n", 'pairs:3: an odd number of words: "c" has no partner')
  end)

  it("refuses what is no text, a name without end, and too much", function()
    refused("a b\nc \0", "pairs:2: a NUL byte")
    refused("a b\n\n" .. ("x"):rep(4097) .. " b", "pairs:3: a name of more than 4096 bytes")
    refused("a b\n" .. ("x"):rep(400000), "pairs:2: a name of more than 4096 bytes")
    refused("a b c d", "longer than 6 bytes", { max = 6 })
    assert.equal(2, #assert(read(("x"):rep(4096) .. " b")))
  end)

  it("says what cannot be read", function()
    local g, message, code = graph.read("/no/such/file")
    assert.is_nil(g)
    assert.matches("cannot read /no/such/file: No such file", message, 1, true)
    assert.equal("not_found", code)
    assert.matches("cannot read", select(2, graph.read(support.tmp())), 1, true)
  end)

  it("puts words together that lie across its pieces", function()
    local parts = {}
    for i = 1, 70000 do parts[i] = ("node%06d node%06d\n"):format(i % 65537, (i * 31) % 65537) end
    local text, expected = table.concat(parts), graph.new()
    for first, second in text:gmatch("(%S+) (%S+)") do
      local a, b = expected:add_node(first), expected:add_node(second)
      if a ~= b then expected:add_edge(b, a) end
    end
    local g = assert(read(text))
    assert.equal(#expected, #g)
    assert.same(select(2, expected:lines()), select(2, g:lines()))
    assert.same(#expected:edges(), #g:edges())
  end)

  it("can be cancelled while a pipe says nothing", function()
    local pipe = support.tmp() .. "/pipe"
    assert(core.process.run { argv = { "mkfifo", pipe } })
    local task = core.task.spawn(function() return graph.read(pipe) end)
    core.time.sleep(0)
    task:cancel()
    assert.is_nil((task:join(50)))
    assert.is_true(task:done())
  end)

  it("reads what a pipe says, when it says it", function()
    local pipe = support.tmp() .. "/pipe"
    assert(core.process.run { argv = { "mkfifo", pipe } })
    local task = core.task.spawn(function() return assert(graph.read(pipe)):lines() end)
    assert(core.process.run { shell = "{ printf 'a b b'; printf ' c'; } > " .. pipe })
    assert.equal("a\nb\nc\n", task:join(50))
  end)
end)

describe("many names", function()
  local function shuffle(list)
    for i = #list, 2, -1 do
      local j = math.random(i)
      list[i], list[j] = list[j], list[i]
    end
    return list
  end

  local function sorted_as_lua(names)
    local g = graph.new()
    for _, name in ipairs(shuffle(names)) do g:add_node(name) end
    local expected = table.move(names, 1, #names, 1, {})
    table.sort(expected)
    assert.same(expected, g:nodes())
  end

  -- The table looks at the length and at eight bytes at either end first.
  it("are told apart by any byte, at any length", function()
    local g, count, numbers = graph.new(), 0, {}
    for length = 1, 40 do
      for at = 0, length do
        local name = ("x"):rep(at - 1) .. (at > 0 and "y" or "") .. ("x"):rep(length - at)
        local number = g:add_node(name)
        count = count + 1
        assert.is_nil(numbers[number], name)
        numbers[number] = name
      end
    end
    assert.equal(count, #g)
    for number, name in pairs(numbers) do assert.equal(number, g:add_node(name)) end
    assert.equal(count, #g)
  end)

  -- Above 256 names another sort is used.
  it("are sorted as Lua sorts them, whatever they begin with", function()
    math.randomseed(3)
    for _, format in ipairs { "%d", "n%06d", "a-long-shared-start-%05d", "%d-and-a-long-shared-end",
      "same8888%dx", "\xff\xfe%d\x80" } do
      local names = {}
      for i = 1, 700 do names[i] = format:format(i * 37) end
      names[#names + 1] = "a-long-shared-start-"
      sorted_as_lua(names)
    end
  end)
end)
