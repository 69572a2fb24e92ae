--- output -- what failed is shown at once, and the totals go to the file named by $ORRERY_TOTALS,
--- for spec/run.sh to print as the last line.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local marks = { success = ".", pending = "s", failure = "F", error = "E" }
  local column = 0
  local current = nil -- the last test begun: what an error in after_each is about

  local function put(text)
    io.stdout:write(text)
    io.stdout:flush()
  end

  local function new_line()
    if column > 0 then put("\n") end
    column = 0
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

  local function show(kind, item)
    new_line()
    put(("%s %s  (%s)\n  %s\n"):format(kind, name_of(item), place_of(item),
      (message_of(item.message):gsub("\n", "\n  "))))
    if options.verbose and item.trace and item.trace.traceback then
      put(item.trace.traceback .. "\n")
    end
  end

  local function last_of(list) return list[#list] end

  local function test_start(element)
    current = element
    return nil, true
  end

  local function test_end(_, _, status)
    put(marks[status] or "?")
    column = column + 1
    if column == 100 then new_line() end
    return nil, true
  end

  local function failed()
    show("FAILED", last_of(handler.failures))
    return nil, true
  end

  local function broke()
    show("ERROR", last_of(handler.errors))
    return nil, true
  end

  local function suite_end()
    new_line()
    for _, item in ipairs(handler.pendings) do show("SKIPPED", item) end
    local passed, skipped = handler.successesCount, handler.pendingsCount
    local bad = handler.failuresCount + handler.errorsCount
    local totals = ("%d %d %d\n"):format(passed, bad, skipped)
    put(("%.1f s\n"):format(handler.getDuration()))
    local path = os.getenv("ORRERY_TOTALS")
    if path then
      local file <close> = assert(io.open(path, "w"))
      file:write(totals)
    else
      put(("%d passed, %d failed, %d skipped\n"):format(passed, bad, skipped))
    end
    return nil, true
  end

  busted.subscribe({ "test", "start" }, test_start)
  busted.subscribe({ "test", "end" }, test_end, { predicate = handler.cancelOnPending })
  busted.subscribe({ "failure" }, failed)
  busted.subscribe({ "error" }, broke)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
