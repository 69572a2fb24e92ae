-- The parts of the REPL that are pure: what is complete, what may follow, how values look. And the
-- reader without a person.
require "support"
local chunk = require "orrery.repl.chunk"
local complete = require "orrery.repl.complete"
local core = require "orrery.core"
local dot = require "orrery.repl.dot"
local pretty = require "orrery.repl.pretty"
local secret = require "orrery.secret"
local support = require "support"

describe("a chunk", function()
  local function open(text)
    local fn, message, more = chunk.compile(text, {})
    return not fn and more, message
  end

  it("is an expression where it can be one", function()
    local fn, is_expression = chunk.compile("1 + 1", {})
    assert.equal(2, fn())
    assert.is_true(is_expression)
    assert.same({ "a", "b" }, { chunk.compile('"a", "b"', {})() })
    assert.equal(3, chunk.compile("= 3", {})())
  end)

  it("is a statement otherwise, on the names it is given", function()
    local env = {}
    local fn, is_expression = chunk.compile("x = 5", env)
    assert.is_false(is_expression)
    fn()
    assert.equal(5, env.x)
  end)

  it("is open while more lines would complete it", function()
    for _, text in ipairs { "function f()", "for i = 1, 2 do", "{1, 2", "f(", "x =", "if x then",
      "[[a", "--[[ a", "1 +", "return {" } do
      assert.is_true(open(text), text)
    end
  end)

  it("is wrong at once where nothing would", function()
    for _, text in ipairs { "x x", "end", ")", "'abc", "for for", "{1,,2}", "1 2" } do
      assert.is_false(open(text), text)
    end
    local _, message = open("{1,,2}")
    assert.matches("near ','", message, 1, true)
  end)

  it("is never bytecode", function()
    assert.is_nil((chunk.compile(string.dump(function() return 1 end), {})))
  end)
end)

describe("a value as text", function()
  local format = pretty.format

  it("has its keys sorted, the list first", function()
    assert.equal('{ 1, 2, ["a-b"] = true, name = "x" }',
      format { 1, 2, name = "x", ["a-b"] = true })
    assert.equal("{ [3] = 1, b = 2 }", format { [3] = 1, b = 2 })
    assert.equal("{}", format {})
    assert.equal('{ ["end"] = 1 }', format { ["end"] = 1 })
  end)

  it("is broken into lines where it is wide", function()
    assert.equal('{\n  alpha = "aaaaaaaaaa",\n  beta = { 1, 2 }\n}',
      format({ alpha = "aaaaaaaaaa", beta = { 1, 2 } }, { width = 30 }))
  end)

  it("shows a cycle once, and what is shared each time", function()
    local shared = { 1 }
    local value = { a = shared, b = shared }
    value.c = value
    assert.equal("{ a = { 1 }, b = { 1 }, c = <cycle> }", format(value))
  end)

  it("is bounded in depth, in items and in the length of strings", function()
    local deep = {}
    for _ = 1, 50 do deep = { deep } end
    assert.matches("{ ... }", format(deep), 1, true)
    local many = {}
    for i = 1, 100000 do many[i] = i end
    assert.matches("... 99900 more", format(many), 1, true)
    assert.is_true(#format(("x"):rep(1000000)) < 5000)
  end)

  it("cannot drive a terminal", function()
    assert.equal('"a\\x1b[31m\\n\\xff"', format("a\27[31m\n\255"))
    assert.equal('"é"', format("é"))
    local hostile = setmetatable({}, { __tostring = function() return "\27[2J" end })
    assert.equal("\\x1b[2J", format(hostile))
  end)

  it("hides secrets, and says where a function is from", function()
    assert.equal("{ key = *** }", format { key = secret.of("hunter2") })
    assert.matches("^function: .*repl_spec.lua:%d+$", format(function() end))
    assert.equal("function: built in", format(print))
    assert.equal("null", format(core.json.null))
  end)

  it("comes beside others, nil too", function()
    assert.equal('nil, "refused"', pretty.list { n = 2, nil, "refused" })
  end)

  it("survives a __tostring and a __pairs that fail", function()
    local broken = setmetatable({}, { __tostring = function() error("no") end })
    assert.equal("(its __tostring fails)", format(broken))
  end)
end)

describe("TAB", function()
  local env = { queue = core.task.queue(), stack = { name = "x",
    services = { pds = { port = 1 }, plc = {}, ["feed-gen"] = {} } } }

  local function texts(text, options)
    local list = {}
    for i, item in ipairs(complete.candidates(text, env, options)) do list[i] = item.text end
    return list
  end

  it("completes names and keywords", function()
    assert.same({ "stack", "string" }, (function()
      local found = {}
      for _, name in ipairs(texts("x = st")) do found[#found + 1] = name end
      return found
    end)())
    assert.same({ "function" }, texts("fun"))
  end)

  it("completes the fields of live tables, wherever the path begins", function()
    assert.same({ "services" }, texts("stack.s"))
    assert.same({ "pds", "plc" }, texts("print(stack.services.p"))
    assert.same({ "services" }, texts("stack.services[stack.s"))
    assert.same({ "port" }, texts('stack["services"].pds.'))
    assert.same({}, texts("nothing.x"))
    assert.same({}, texts("stack.name.x."))
  end)

  it("writes what is no name in brackets, in the place of the dot", function()
    local item = complete.candidates("stack.services.fe", env)[1]
    assert.same({ shown = "feed-gen", text = '["feed-gen"]', instead = 3 }, item)
    assert.same({ "pds']", "plc']" }, texts("stack.services['p"))
  end)

  it("completes methods, and nothing else behind a colon", function()
    assert.same({ "pop", "push" }, texts("queue:"))
    assert.same({}, texts("stack:"))
  end)

  it("completes dot commands, and the services behind them", function()
    local options = { commands = { "status", "graph" }, services = { "pds", "plc" } }
    assert.same({ "status" }, texts(".st", options))
    assert.same({ "pds" }, texts(".status pd", options))
  end)

  it("calls nothing", function()
    env.trap = setmetatable({}, { __call = function() error("called") end })
    assert.same({}, texts("trap()."))
  end)

  it("inserts what all candidates have in common", function()
    local common = complete.common(complete.candidates("stack.services.p", env))
    assert.equal("p", common.text)
    assert.is_nil(complete.common({}))
    assert.is_nil(complete.common(complete.candidates("stack.services.", env)))
  end)
end)

describe("a dot command", function()
  it("is told from a number", function()
    assert.is_true(dot.is(".help"))
    assert.is_false(dot.is(".5 + 1"))
  end)

  it("has words, and quotes that hold them together", function()
    assert.same({ ".load", "a b.lua", "c" }, dot.words(".load 'a b.lua'  c"))
    assert.has_error(function() dot.words(".load 'a") end)
  end)
end)

describe("a reader without a person", function()
  it("is the only one", function()
    local reader <close> = assert(core.terminal.reader())
    local other, message, code = core.terminal.reader()
    assert.same({ nil, "exists" }, { other, code })
    assert.matches("close it first", message, 1, true)
    assert.is_false(reader:edited())
  end)

  it("keeps a history that is private, bounded, and without repetitions", function()
    local path = support.tmp() .. "/history"
    do
      local reader <close> = assert(core.terminal.reader { history = path })
      assert.is_true(reader:remember("one"))
      assert.is_false(reader:remember("one"))
      assert.is_false(reader:remember(" secret"))
      assert.is_false(reader:remember("  \n"))
      assert.is_false(reader:remember(("x"):rep(20000)))
      assert.is_true(reader:remember("two\nlines \\n"))
    end
    assert.equal("one\ntwo\\nlines \\\\n\n", support.read(path))
    assert.equal(384, core.file.stat(path).mode & 511)
    support.write(path, ("old\nnew\n"):rep(2000))
    assert(core.process.run { argv = { "chmod", "644", path } })
    assert(core.terminal.reader { history = path }):close()
    assert.equal(384, core.file.stat(path).mode & 511)
    assert.equal(("old\nnew\n"):rep(500), support.read(path))
  end)

  it("says why a history cannot be", function()
    local reader, message, code = core.terminal.reader { history = support.tmp() }
    assert.is_nil(reader)
    assert.matches("cannot use the history", message, 1, true)
    assert.equal("invalid", code)
  end)

  it("is closed under a task that waits, and refuses to go on", function()
    local reader = assert(core.terminal.reader())
    reader:close()
    assert.same({ nil, "closed", "closed" }, { reader:next("> ") })
    assert.same({ nil, "closed", "closed" }, { reader:print("x") })
    reader:insert("x")
    assert.is_false(reader:edited())
  end)
end)
