--- output -- what failed is shown at once, with the last lines that the servers of the test wrote.
--- Into files named by the environment go, for spec/run.sh to end with: the totals
--- ($ORRERY_TOTALS), what failed ($ORRERY_FAILED), the test that runs ($ORRERY_RUNNING: who
--- aborted, if it does); and the seconds of each spec file ($ORRERY_TIMES).
local logs = require "support.logs"

local REPEATED = 12 -- lines of a failure that are said again at the end
local SLOW = 5      -- files whose time is told

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local marks = { success = ".", pending = "s", failure = "F", error = "E" }
  local column = 0
  local current = nil -- the last test begun: what an error in after_each is about
  local began = 0     -- when it did, by the wall clock
  local times = {}    -- {name, seconds} of each spec file

  local function put(text)
    io.stdout:write(text)
    io.stdout:flush()
  end

  local function new_line()
    if column > 0 then put("\n") end
    column = 0
  end

  local function keep(variable, mode, text)
    local path = os.getenv(variable)
    if not path then return false end
    local file <close> = assert(io.open(path, mode))
    file:write(text)
    return true
  end

  local function message_of(message)
    if message == nil then return "no reason given" end
    if type(message) == "table" then return require "pl.pretty".write(message) end
    return tostring(message)
  end

  local function place_of(item)
    local trace = item.element.trace or item.trace or {}
    return (trace.short_src or "?") .. ":" .. (trace.currentline or 0)
  end

  local function name_of(item)
    if item.element.descriptor ~= "after_each" or not current then return item.name end
    return handler.getFullName(current) .. ", after it"
  end

  -- The lines of the specs and their helpers that led to the failure, from the innermost.
  local function way_of(item)
    local places = {}
    for place in ((item.trace or {}).traceback or ""):gmatch("(spec/[%w_/]+%.lua:%d+): in") do
      places[#places + 1] = place
    end
    return #places > 0 and "\n  through " .. table.concat(places, ", ") or ""
  end

  local function text_of(kind, item)
    return ("%s %s  (%s)\n  %s"):format(kind, name_of(item), place_of(item),
      (message_of(item.message):gsub("\n", "\n  ")))
  end

  local function show(kind, item)
    new_line()
    local text = text_of(kind, item) .. way_of(item)
    put(text .. "\n")
    if options.verbose and item.trace and item.trace.traceback then
      put(item.trace.traceback .. "\n")
    end
    return text
  end

  local function first_lines(text)
    local lines = {}
    for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line:sub(1, 400) end
    local more = #lines - REPEATED
    if more <= 0 then return table.concat(lines, "\n") .. "\n" end
    return ("%s\n  ... and %d lines more\n"):format(table.concat(lines, "\n", 1, REPEATED), more)
  end

  local function show_bad(kind, list)
    local text = show(kind, list[#list])
    put(logs.tails(began, text))
    keep("ORRERY_FAILED", "a", first_lines(text))
    return nil, true
  end

  local function test_start(element)
    current, began = element, os.time()
    keep("ORRERY_RUNNING", "w", handler.getFullName(element) .. "\n")
    return nil, true
  end

  local function test_end(_, _, status)
    put(marks[status] or "?")
    column = column + 1
    if column == 100 then new_line() end
    return nil, true
  end

  local function file_start(file)
    times[#times + 1] = { name = file.name, seconds = -busted.monotime() }
    return nil, true
  end

  local function file_end()
    local last = times[#times]
    last.seconds = last.seconds + busted.monotime()
    keep("ORRERY_TIMES", "a", ("%.1f %s\n"):format(last.seconds, last.name))
    return nil, true
  end

  -- The spec files that took the longest.
  local function slowest()
    table.sort(times, function(a, b) return a.seconds > b.seconds end)
    local told = {}
    for i = 1, math.min(SLOW, #times) do
      told[i] = #times == 1 and times[i].name
        or ("%s %.0f s"):format(times[i].name, times[i].seconds)
    end
    return table.concat(told, ", ")
  end

  local function suite_end()
    new_line()
    for _, item in ipairs(handler.pendings) do show("SKIPPED", item) end
    local passed, skipped = handler.successesCount, handler.pendingsCount
    local bad = handler.failuresCount + handler.errorsCount
    put(("%.1f s: %s\n"):format(handler.getDuration(), slowest()))
    if not keep("ORRERY_TOTALS", "w", ("%d %d %d\n"):format(passed, bad, skipped)) then
      put(("%d passed, %d failed, %d skipped\n"):format(passed, bad, skipped))
    end
    return nil, true
  end

  busted.subscribe({ "file", "start" }, file_start)
  busted.subscribe({ "file", "end" }, file_end)
  busted.subscribe({ "test", "start" }, test_start)
  busted.subscribe({ "test", "end" }, test_end, { predicate = handler.cancelOnPending })
  busted.subscribe({ "failure" }, function() return show_bad("FAILED", handler.failures) end)
  busted.subscribe({ "error" }, function() return show_bad("ERROR", handler.errors) end)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
