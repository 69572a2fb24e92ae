-- A person at a terminal: every test types into a real one (tmux) and looks at its screen.
local agents = require "support.agents"
local core = require "orrery.core"
local screen_of = require "support.screen"
local support = require "support"

local function repl(dir, words)
  return ("%s -f %s repl %s"):format(support.binary(), dir or "simple-pds", words or "")
end

--- Runs test(screen) at a terminal with the REPL in it, and ends it whatever happens.
local function at_terminal(options, test)
  local screen = screen_of.start { env = options.env, script = ([[
trap : INT
stty -g >before
sh -c 'echo $$ >pid; exec %s'
echo "it ended with $?"
stty -g >after
cmp before after && echo "terminal restored"
exec sleep 600]]):format(repl(options.dir, options.words)) }
  local ok, problem = pcall(function()
    screen:wait(function(text) return text:find(">$") end)
    test(screen)
  end)
  screen:stop()
  if not ok then error(problem, 0) end
end

local function ends(screen, code)
  screen:wait("it ended with " .. code)
  screen:wait "terminal restored"
end

describe("orrery repl at a terminal", function()
  it("reads, edits, recalls and completes", function()
    at_terminal({}, function(screen)
      screen:line "stack.name"
      screen:wait '\n"simple-pds"\n'
      screen:line "_ .. '!'"
      screen:wait '\n"simple-pds!"\n'
      screen:type "1 + 4" -- becomes 1 + 2 + 4
      screen:press("Left", "Left", "Left")
      screen:type "+ 2 "
      screen:press "Home"
      screen:type "10 * "
      screen:press "Enter"
      screen:wait "\n16\n"
      screen:press("Up", "Enter")
      screen:wait "\n16\norrery> 10 * 1 + 2 + 4\n16\n"
      screen:type "'wörld'"
      screen:press("Left", "BSpace", "Enter")
      screen:wait '\n"wörl"\n'
      screen:type "stack.services.pl"
      screen:press "Tab"
      screen:wait "> stack.services.plc"
      screen:type ".po"
      screen:press("Tab", "Enter")
      screen:wait "\n2582\n"
      screen:type "stack.services."
      screen:press "Tab"
      screen:wait "database  pds       plc\norrery> stack.services."
      screen:press "C-c"
      screen:wait "stack.services.^C\norrery>"
      screen:press "C-d"
      ends(screen, 0)
    end)
  end)

  it("takes chunks of several lines, typed, recalled and pasted", function()
    at_terminal({}, function(screen)
      screen:line "function twice(n)"
      screen:wait "    ..."
      screen:line "  return n * 2"
      screen:line "end"
      screen:line "twice(21)"
      screen:wait "\n42\n"
      screen:paste "for i = 1, 3 do\n  print('pasted ' .. i)\nend"
      screen:wait "end"
      screen:press "Enter"
      screen:wait "pasted 1\npasted 2\npasted 3\norrery>"
      screen:line "for"
      screen:wait(function(text) return text:find("for\n    %.%.%.$") end)
      screen:press "C-c"
      screen:wait "^C\norrery>"
      screen:line "1 2"
      screen:wait "stdin:1: <eof> expected near '2'"
      screen:press "C-d"
      ends(screen, 0)
    end)
  end)

  it("stops what runs at Ctrl-C, and not itself", function()
    at_terminal({}, function(screen)
      screen:line "print 'begun' orrery.time.sleep(1000)"
      screen:wait "\nbegun"
      screen:press "C-c"
      screen:wait "cancelled"
      screen:line "print 'computing' while true do end"
      screen:wait "\ncomputing"
      screen:press "C-c"
      screen:wait "ran for a second without waiting"
      screen:line "nme"
      screen:wait 'undefined name "nme"'
      screen:line "error 'on purpose'"
      screen:wait "\nstdin:1: on purpose\n"
      screen:line ".trace"
      screen:wait "stack traceback:"
      screen:line "os.exit(7)"
      ends(screen, 7)
    end)
  end)

  it("shows what background tasks print and log above the prompt", function()
    at_terminal({}, function(screen)
      screen:line("go = orrery.task.queue() t = orrery.task.spawn(function() while true do "
        .. "print('heard ' .. go:pop()) end end)")
      screen:line "orrery.task.spawn(function() orrery.time.sleep(2) go:push 'one' error 'bad' end)"
      screen:type "half a line"
      screen:wait "heard one"
      screen:wait(function(text)
        return text:find("a task failed: stdin:1: bad", 1, true)
          and text:find("\norrery> half a line$")
      end)
      screen:resize(70, 30)
      screen:type " more"
      screen:wait "orrery> half a line more"
      for _ = 1, 3 do screen:press("C-c", "C-c") end
      screen:wait(function(text) return text:find("\norrery>$") end)
      screen:line "go:push 'two'"
      screen:wait "heard two"
      screen:press "C-d"
      ends(screen, 0)
    end)
  end)

  it("takes Ctrl-S as a key, which would hold up the terminal", function()
    at_terminal({}, function(screen)
      screen:press "C-s"
      screen:line "6 * 7"
      screen:wait "\n42\n"
      screen:press "C-d"
      ends(screen, 0)
    end)
  end)

  it("takes what is typed while a line runs, Ctrl-D too", function()
    at_terminal({}, function(screen)
      screen:line "print 'begun' orrery.time.sleep(1)"
      screen:wait "\nbegun"
      screen:line "2 * 4"
      screen:wait "\n8\n"
      screen:line "print 'again' orrery.time.sleep(1) return 'slept'"
      screen:wait "\nagain"
      screen:press "C-d"
      screen:wait '"slept"'
      ends(screen, 0)
    end)
  end)

  it("draws a long line anew in a narrower window, and leaves nothing of the old one", function()
    at_terminal({}, function(screen)
      screen:line "'kept'"
      screen:wait '\n"kept"\n'
      screen:type("'" .. ("x"):rep(85))
      screen:wait(("x"):rep(85))
      for _, columns in ipairs { 60, 35, 80, 50 } do
        screen:resize(columns, 40)
        screen:type "y"
        local text = screen:wait(("x"):rep(85) .. "y") -- a broken line is read as one
        assert.equal(1, select(2, text:gsub("orrery> 'x", "")), text)
        assert.truthy(text:find('"kept"\norrery> \'x', 1, true), text)
        screen:press "BSpace"
        screen:wait(function(now) return not now:find "y$" end)
      end
      screen:press("C-c", "C-d")
      ends(screen, 0)
    end)
  end)

  it("has the command line as dot commands", function()
    at_terminal({}, function(screen)
      screen:line ".plan"
      screen:wait "stops: pds, plc, database"
      screen:line ".status"
      screen:wait "no agent is running for stack"
      screen:line ".grph"
      screen:wait 'there is no .grph; did you mean "graph"?'
      screen:line ".help"
      screen:wait "Ctrl-D ends"
      screen:line ".quit"
      ends(screen, 0)
    end)
  end)

  it("puts the terminal back when it is ended by a signal, at the prompt and in a line", function()
    for _, line in ipairs { "", "print 'begun' orrery.time.sleep(1000)\n" } do
      at_terminal({}, function(screen)
        if line ~= "" then
          screen:line(line:sub(1, -2))
          screen:wait "\nbegun"
        end
        local pid = support.read(screen.dir .. "/pid"):match "%d+"
        assert(core.process.run { argv = { "kill", "-TERM", pid } })
        ends(screen, 143)
      end)
    end
  end)

  it("keeps its history for the next session, 0600, without lines that begin with a space",
    function()
      local env = { XDG_STATE_HOME = support.tmp() }
      at_terminal({ env = env }, function(screen)
        screen:line "40 + 2"
        screen:wait "\n42\n"
        screen:line " 'hidden'"
        screen:wait '\n"hidden"\n'
        screen:press "C-d"
        ends(screen, 0)
      end)
      assert.equal("40 + 2\n", support.read(env.XDG_STATE_HOME .. "/orrery/repl_history"))
      at_terminal({ env = env }, function(screen)
        screen:press("Up", "Enter")
        screen:wait "> 40 + 2\n42\n"
        screen:press "C-d"
        ends(screen, 0)
      end)
    end)
end)

describe("orrery repl without a terminal", function()
  it("runs the lines of a pipe, and tells failure by its exit code", function()
    local code, out, err = support.orrery { "-f", "simple-pds", "repl",
      input = "print(1)\nfunction f()\n return stack.name\nend\nf()\n.plan\n2" }
    assert.equal("", err)
    assert.matches('^1\n"simple%-pds"\n.*stops: pds, plc, database\n2\n$', out)
    assert.equal(0, code)
    code, out, err = support.orrery { "repl", input = "error('x')\nprint 'on'\nfor" }
    assert.same({ 1, "on\n" }, { code, out })
    assert.matches("stdin:1: x\n.*<eof>", err)
  end)

  it("runs -e CODE", function()
    local code, out = support.orrery { "-f", "simple-pds", "repl", "-e", "#plan.order, stack.name" }
    assert.same({ 0, '3, "simple-pds"\n' }, { code, out })
    assert.equal(1, (support.orrery { "repl", "-e", "error 'x'" }))
    assert.equal(1, (support.orrery { "repl", "-e", "x = " }))
    assert.equal(9, (support.orrery { "repl", "-e", "os.exit(9)" }))
    local _, _, err = support.orrery { "repl", "-e", "orrrery" }
    assert.matches('undefined name "orrrery"; did you mean "orrery"?', err, 1, true)
    assert.equal(2, (support.orrery { "repl", "--write" }))
  end)

  it("wakes for a connection that is refused at once, whatever else it waits for", function()
    local signals = core.process.signals { "WINCH" }
    local began = core.time.monotonic()
    for _ = 1, 3 do
      core.task.spawn(function()
        core.http.get("http://x/", { unixSocket = support.tmp() .. "/none", timeout = 50 })
      end):join()
    end
    signals:close()
    assert.is_true(core.time.monotonic() - began < 45)
  end)
end)

describe("orrery repl --attach", function()
  it("looks at the running agent, says when it is gone, and finds it again", function()
    local dir = agents.stack(agents.service("web", "exec sleep 600")
      .. agents.service("app", "exec sleep 600", "dependencies = { 'web' },"))
    agents.detached(dir)
    local ok, problem = pcall(function()
      at_terminal({ dir = dir, words = "--attach" }, function(screen)
        screen:line "services.app.state, #state.services"
        screen:wait '\n"running", 2\n'
        screen:line "graph.edges"
        screen:wait '{ { from = "app", to = "web" } }'
        screen:line "#lookup 'web'"
        screen:wait "\n1\n"
        screen:line "#events() > 0, why('web').fine"
        screen:wait "\ntrue, true\n"
        screen:line "restart 'web'"
        screen:wait "begin it with --write"
        screen:line "why 'wb'"
        screen:wait 'there is no service "wb"'
        support.orrery { "-f", dir, "down", timeout = 60 }
        screen:line "state.stack"
        screen:wait "does not answer"
        support.orrery { "-f", dir, "up", "-d", timeout = 60 }
        screen:line "services.web.state"
        screen:wait "the agent was restarted"
        screen:wait '\n"running"\n'
        local code, out, err = support.orrery { "-f", dir, "repl", "--attach", "--write", "-e",
          "stop 'web', services.app.state", timeout = 60 }
        assert.same({ 0, 'true, "stopped"\n', "" }, { code, out, err })
        screen:line "instances['web@' .. state.node].state"
        screen:wait '\n"stopped"\n'
        screen:press "C-d"
        ends(screen, 0)
      end)
    end)
    support.orrery { "-f", dir, "down", timeout = 60 }
    if not ok then error(problem, 0) end
    assert.equal(4, (support.orrery { "-f", dir, "repl", "--attach", "-e", "1" }))
  end)
end)
