-- What a format writes, it and other programs read as the same value: thousands of random strings.
local support = require "support"
local core = require "orrery.core"
local formats = require "orrery.formats"
local readers = require "support.readers"
local strings = require "support.strings"
local systemd = require "support.systemd"

local COUNT = 5000

local function format(name) return assert(formats.get(name)) end

-- Says the seed and the strings that differ, not two tables of thousands.
local function same(expected, found, who)
  assert(type(found) == "table", who .. " cannot read it: " .. tostring(found))
  for key, text in pairs(expected) do
    if found[key] ~= text then
      error(("seed %d: %s reads %q as %q"):format(strings.SEED, who, text, tostring(found[key])), 2)
    end
  end
  for key in pairs(found) do assert(expected[key] ~= nil, ("%s made a key %q"):format(who, key)) end
end

local function python(kind, text)
  local found, message = readers.python(kind, text)
  return found or message
end

-- What each format can hold: any UTF-8 text, but for what is named here.
local FORMATS = {
  {name = "json", controls = true, others = {"json", "yaml"}},
  {name = "yaml", controls = true, others = {"yaml"}},
  {name = "toml", controls = true, others = {"toml"}},
  {name = "ini", controls = true, others = {}},
  {name = "env", without = "\r", others = {}},
  {name = "env:sh", controls = true, without = "\0", others = {}},
  {name = "env:systemd", without = "\r", others = {}},
  {name = "env:docker", controls = true, without = "[\r\n%z]", others = {}},
}

describe("formats: random strings", function()
  for _, case in ipairs(FORMATS) do
    local map = strings.map(COUNT, case)

    it(("%s reads %d of them as it wrote them (seed %d)"):format(case.name, COUNT, strings.SEED),
      function()
        local text = assert(format(case.name).write(map))
        same(map, format(case.name).read(text), case.name)
      end)

    for _, kind in ipairs(case.others) do
      it(case.name .. " is read so by Python's reader of " .. kind, function()
        same(map, python(kind, assert(format(case.name).write(map))), "Python's " .. kind)
      end)
    end
  end

  it("are keys, too, where keys may be any text", function()
    for _, name in ipairs {"json", "yaml", "toml"} do
      local next_text, map = strings.generator {controls = true, without = "%z"}, {}
      for i = 1, 2000 do map[next_text()] = i end
      local text = assert(format(name).write(map))
      same(map, format(name).read(text), name)
      same(map, python(name, text), "Python's " .. name)
    end
  end)

  it("are nested as deep as they were", function()
    for _, name in ipairs {"json", "yaml", "toml"} do
      local next_text, pick = strings.generator()
      for _ = 1, 300 do
        local value = {[next_text() .. "k"] = next_text(), n = pick(1000), b = pick(2) == 1,
          l = core.json.array {next_text(), core.json.array {next_text(), pick(9) / 7}},
          m = {[next_text() .. "x"] = {y = next_text(), e = core.json.array {}}, e = {}}}
        local text = assert(format(name).write(value))
        assert.are.same(value, format(name).read(text))
      end
    end
  end)
end)

describe("formats: the filters", function()
  local WRAP = {json = {"{\"A\": ", ", \"B\": \"b\"}"}, yaml = {"A: ", "\nB: b\n"},
                toml = {"A = ", "\nB = \"b\"\n"}, ini = {"A = ", "\nB = b\n"},
                env = {"A=", "\nB=b\n"}}

  for name, wrap in pairs(WRAP) do
    it("of " .. name .. " keep each of them one value", function()
      local filter, read = require("filters." .. name), format(name).read
      local next_text = strings.generator {controls = name ~= "env", without = name == "env"
        and "\r" or nil}
      for _ = 1, COUNT do
        local text = next_text()
        local read_back = assert(read(wrap[1] .. filter(text) .. wrap[2]))
        same({A = text, B = "b"}, read_back, "the reader of " .. name)
      end
    end)
  end

  it("quote and json are YAML and TOML as well", function()
    local next_text = strings.generator {controls = true}
    for _ = 1, COUNT do
      local text = next_text()
      local quoted = require("filters.quote")(text)
      assert.are.equal(text, assert(format("yaml").read("A: " .. quoted)).A)
      assert.are.equal(text, assert(format("toml").read("A = " .. quoted)).A)
      assert.are.equal(text, assert(format("json").read(quoted)))
    end
  end)

  it("yaml and quote are read so by PyYAML", function()
    local map, lines = strings.map(COUNT, {controls = true}), {}
    for _, name in ipairs {"yaml", "quote", "json"} do
      local filter = require("filters." .. name)
      for key, text in pairs(map) do lines[#lines + 1] = key .. ": " .. filter(text) end
      same(map, python("yaml", table.concat(lines, "\n")), "PyYAML after " .. name)
      lines = {}
    end
  end)

  it("shell_quote makes one word of each", function()
    local next_text = strings.generator {controls = true, without = "[%z\127]"}
    local words, texts = {}, {}
    for i = 1, 2000 do
      texts[i] = next_text()
      words[i] = require("filters.shell_quote")(texts[i])
    end
    local path = support.write(support.tmp() .. "/words.sh",
      "printf '%s\\177' " .. table.concat(words, " "))
    local pipe = assert(io.popen("/bin/sh " .. path))
    local output, i = pipe:read("a"), 0
    pipe:close()
    for word in output:gmatch("([^\127]*)\127") do
      i = i + 1
      assert.are.equal(texts[i], word)
    end
    assert.are.equal(2000, i)
  end)
end)

describe("formats: env in real readers", function()
  it("is read by sh as it was written", function()
    for _, case in ipairs {{name = "env", without = "\r"}, {name = "env:sh", controls = true,
      without = "\0"}, {name = "env:systemd", without = "\r"}} do
      local map = strings.map(COUNT, case)
      same(map, readers.sh(assert(format(case.name).write(map))), "sh, of " .. case.name)
    end
  end)

  describe("and systemd", function()
    local manager, missing

    setup(function()
      missing = systemd.missing()
      if not missing then manager, missing = systemd.start() end
    end)

    teardown(function() if manager then manager:stop() end end)

    -- What a unit gets from this EnvironmentFile=.
    local function loaded(text)
      local folder = ("/proc/%d/root/run/"):format(manager.pid)
      support.write(folder .. "test.env", text)
      manager:unit("show.service", "Type=oneshot\nEnvironmentFile=/run/test.env\n"
        .. "ExecStart=/bin/sh -c 'env -0 >/run/out'")
      manager:ctl "start show.service"
      local found = {}
      for key, value in support.read(folder .. "out"):gmatch("([ABK]%d*)=([^%z]*)%z") do
        found[key] = value
      end
      return found
    end

    it("is read as it was written", function()
      if missing then return pending(missing) end
      local map = strings.map(1000, {without = "\r"})
      for _, name in ipairs {"env", "env:systemd"} do
        same(map, loaded(assert(format(name).write(map))), "systemd, of " .. name)
      end
    end)

    it("is read alike in its style", function()
      if missing then return pending(missing) end
      for _, text in ipairs {"A=b c  \n", "; x\n# y\nA = b c\nB=d", "A='b''c' d\n", "A=\n\n",
        "A=a\\'b\\\\c\n", "A=a\\\nb\n", 'A="a\nb\\n\\$"\n', "# a \\\nA=1\nB=1\n", 'A="b"  c # d\n',
        "A='b' \nB=1", "A=b\\", "A=\\ b \\  \n", "A=1\nA=2\n"} do
        local found, message = format("env:systemd").read(text)
        assert.are.same(loaded(text), found or message, text)
      end
    end)
  end)

  it("refuses what systemd would ignore, with the line", function()
    for text, line in pairs {["A=1\nB\n"] = 2, ["=1"] = 1, ["A=1\n1B=1\n"] = 2, ["A='b\n\n"] = 1,
      ["A b=1\n"] = 1, ["\n\nA=\27\n"] = 3} do
      local found, message, at = format("env:systemd").read(text)
      assert.is_nil(found)
      assert.is_string(message)
      assert.are.equal(line, at, text)
    end
  end)

  it("ini in its style plain is read by Python's configparser", function()
    local next_text, map = strings.generator(), {}
    local ini = format "ini:plain"
    for i = 1, COUNT do
      local text = next_text()
      if ini.write {K = text} then map["K" .. i] = text end
    end
    local text = assert(ini.write {section = map})
    assert.are.same({section = map}, ini.read(text))
    same(map, python("ini", text).section, "configparser")
  end)
end)
