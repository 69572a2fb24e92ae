-- The reader of log files: last lines, new lines, rotation.
local logfile = require "orrery.cli.logfile"
local support = require "support"

local function line(n, text)
  return ("2026-01-02T03:04:%02d.000Z out %s\n"):format(n, text)
end

local function append(path, text)
  local file <close> = assert(io.open(path, "ab"))
  assert(file:write(text))
end

local function texts(lines)
  local list = {}
  for i, item in ipairs(lines) do list[i] = item.text end
  return list
end

describe("logfile", function()
  local stack, path

  before_each(function()
    stack = { dirs = { logs = support.tmp() } }
    path = logfile.path(stack, "a@n")
  end)

  it("has no lines of a service that wrote none", function()
    assert.same({}, logfile.last(stack, "a@n", 5))
    assert.is_false(logfile.exists(stack, "a@n"))
  end)

  it("gives the last lines, also from before a rotation", function()
    support.write(path .. ".1", line(1, "one") .. line(2, "two"))
    support.write(path, line(3, "three") .. "2026-01-02T03:04:04.000Z out unfinis")
    assert.same({ "two", "three" }, texts(logfile.last(stack, "a@n", 2)))
    assert.same({ "one", "two", "three" }, texts(logfile.last(stack, "a@n", 9)))
  end)

  it("follows from the end, line by line", function()
    support.write(path, line(1, "one"))
    local reader = logfile.follow(stack, "a@n")
    assert.same({}, logfile.read(reader))
    append(path, line(2, "two") .. "2026-01-02T03:04:03.000Z err thr")
    assert.same({ "two" }, texts(logfile.read(reader)))
    append(path, "ee\n")
    local lines = logfile.read(reader)
    assert.same({ "three" }, texts(lines))
    assert.equal("err", lines[1].stream)
    logfile.close(reader)
  end)

  it("follows a file that is not there yet", function()
    local reader = logfile.follow(stack, "a@n")
    assert.same({}, logfile.read(reader))
    support.write(path, line(1, "one"))
    assert.same({ "one" }, texts(logfile.read(reader)))
    logfile.close(reader)
  end)

  it("loses and doubles nothing when files are rotated, even twice between two looks", function()
    support.write(path, line(1, "one"))
    local reader = logfile.follow(stack, "a@n")
    for n = 2, 40 do
      append(path, line(n, "n" .. n))
      if n % 4 == 0 then
        for k = 9, 1, -1 do os.rename(path .. "." .. k, path .. "." .. k + 1) end
        os.rename(path, path .. ".1")
      end
      if n % 10 == 0 then
        local expected = {}
        for k = n == 10 and 2 or n - 9, n do expected[#expected + 1] = "n" .. k end
        assert.same(expected, texts(logfile.read(reader)))
      end
    end
    logfile.close(reader)
  end)

  it("puts the lines of several services in the order of time", function()
    local merged = logfile.merge {
      { id = "a", lines = { { at = "1", text = "x" }, { at = "", text = "more" },
        { at = "3", text = "z" } } },
      { id = "b", lines = { { at = "2", text = "y" } } },
    }
    assert.same({ "x", "more", "y", "z" }, texts(merged))
    assert.equal("b", merged[3].id)
  end)
end)
