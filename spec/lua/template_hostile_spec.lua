-- What a hostile service puts into its record can never add a line, a key or a command to a file,
-- through any filter or format that is for it, and is never taken for template.
local support = require "support"

local core = require "orrery.core"
local formats = require "orrery.formats"
local readers = require "support.readers"
local scope = require "orrery.scope"
local strings = require "support.strings"
local template = require "orrery.template"

local ATTACKS = {
  "x\nEVIL=1", "x\r\nEVIL=1", "x\rEVIL=1", 'x"\nEVIL="1', "x'\nEVIL='1", "x\\\nEVIL=1", "x\0EVIL=1",
  "x\nEVIL: 1", "x\n  EVIL: 1", "x: {EVIL: 1}", "- x\n- EVIL", "x #", "x\u{85}EVIL: 1",
  "x\u{2028}EVIL: 1", "&a x", "*a", "!!python/object:os.system x", "? EVIL\n: 1", "x, EVIL: 1",
    "}{",
  'x", "EVIL": "1', "x\\", "x\\\"", '\\", "EVIL": 1, "', "]\nEVIL = 1\n[", '"""\nEVIL = 1\n"""',
  "'''\nEVIL = 1\n'''", "x\n[EVIL]\ny = 1", "x ; EVIL", "x\n; c\nEVIL = 1", "[EVIL]",
  "$(touch EVIL)", "`touch EVIL`", "x; touch EVIL", "x && touch EVIL", "x | touch EVIL", "${EVIL}",
  "$EVIL", "x\ntouch EVIL\n", "'; touch EVIL; '", '"; touch EVIL; "', "\n\ttouch EVIL", "x\27[2J",
  "${service}", "${x}", "%{ for i in [1] }EVIL%{ endfor }", "$${x}", "%%{ if x }", "${~ x ~}",
  "x\u{2028}EVIL:\u{2028}  1", "x\u{85}EVIL:\u{85} 1", "x\u{2029}EVIL:\u{2029}", "x\u{2028}- y",
  "x\u{2028}---\u{2028}EVIL: 1", " EVIL", "EVIL ", "1, 2", "1], [2", "{}", "[1, null]", "1,2",
  "${\"EVIL\"}", "\255\254EVIL", "../../EVIL", "~/EVIL", "*", "?", "\u{202e}EVIL",
}

local function attacks()
  local next_text, list = strings.generator {controls = true}, {table.unpack(ATTACKS)}
  for _ = 1, 300 do list[#list + 1] = next_text() end
  return list
end

-- A scope in which a service that was discovered says `text` wherever it can.
local function discovered(text)
  local record = {service = "other", id = "other@x", node = "x", address = "10.0.0.1", port = 80,
    scheme = "http", did = text, tags = {text, "two"}, meta = {note = text}, status = "passing"}
  return scope.new {service = "s", lookup = function() return {record} end,
    stack = {name = "n", node = "n", domain = "d", services = {s = {variables = {},
      dependencies = {other = {}}}}}}
end

-- Where a record's text may stand, and how a template names it.
local PLACES = {did = "service.other.did", tag = "service.other.tags[0]",
  meta = "service.other.meta.note"}

local FILES = {
  {"json", '{"A": ${%s | json}, "B": "b"}\n'}, {"json", '{"A": ${%s | quote}, "B": "b"}\n'},
  {"yaml", "A: ${%s | yaml}\nB: b\n"}, {"yaml", "A: ${%s | json}\nB: b\n"},
  {"yaml", "A: ${%s | quote}\nB: b\n"}, {"yaml", "{A: ${%s | yaml}, B: b}\n"},
  {"toml", 'A = ${%s | toml}\nB = "b"\n'}, {"toml", 'A = ${%s | quote}\nB = "b"\n'},
  {"env", "A=${%s | env}\nB=b\n"}, {"env:sh", "A=${%s | env}\nB=b\n"},
  {"env:systemd", "A=${%s | env}\nB=b\n"}, {"ini", "A = ${%s | ini}\nB = b\n"},
}

local BARE = {
  {"json", '{"A": "${%s}", "B": "b"}\n'}, {"yaml", "A: ${%s}\nB: b\n"}, {"yaml",
    'A: "${%s}"\nB: b\n'},
  {"toml", 'A = "${%s}"\nB = "b"\n'}, {"env", "A=${%s}\nB=b\n"}, {"env", "A=\"${%s}\"\nB=b\n"},
  {"env:docker", "A=${%s}\nB=b\n"}, {"ini", "A = ${%s}\nB = b\n"}, {"ini:plain",
    "A = ${%s}\nB = b\n"},
  {"env:systemd", "A=${%s}\nB=b\n"}, {"env:sh", "A='${%s}'\nB=b\n"},
}

describe("hostile records", function()
  for _, case in ipairs(FILES) do
    local name, text = case[1], case[2]

    it(("are one value in %s by %s"):format(name, text:match("| (%w+)")), function()
      local read, through = assert(formats.get(name)).read, 0
      for _, attack in ipairs(attacks()) do
        for place, path in pairs(PLACES) do
          local own = discovered(attack)
          local result, err = template.render(text:format(path), own, {format = name})
          if result then
            through = through + 1
            assert.are.same({A = attack, B = "b"}, assert(read(result)), place)
          else
            assert.is_false(err.pending)
          end
        end
      end
      assert.is_true(through > 200)
    end)
  end

  for _, case in ipairs(BARE) do
    local name, text = case[1], case[2]

    it(("add nothing to %s without a filter: %s"):format(name, text:sub(1, 12)), function()
      local read = assert(formats.get(name)).read
      for _, attack in ipairs(attacks()) do
        local result = template.render(text:format("x"), {x = attack}, {format = name})
        local value = result and read(result)
        if value then
          assert.are.equal("b", value.B, attack)
          value.A, value.B = nil, nil
          assert.are.same({}, value, attack)
        end
      end
    end)
  end

  it("are one item of a list, or refused", function()
    for text, name in pairs {['{"A": [${x}]}'] = "json", ['{"A": [[${x}]]}'] = "json",
      ['{"A": ["${x}"]}'] = "json", ["A:\n  - ${x}\n"] = "yaml", ["A: [${x}]\n"] = "yaml",
      ["A:\n- ${x}\n"] = "yaml", ["A = [${x}]\n"] = "toml", ["A = ['${x}']\n"] = "toml"} do
      for _, attack in ipairs(attacks()) do
        local result = template.render(text, {x = attack}, {format = name})
        local value = result and assert(formats.get(name)).read(result)
        if value then
          assert.is_true(#value.A <= 1, attack)
          value.A = nil
          assert.are.same({}, value, attack)
        end
      end
    end
  end)

  for _, name in ipairs {"json", "yaml", "toml", "ini", "env", "env:sh", "env:systemd",
    "env:docker",
    "ini:plain"} do
    it("are one value in data of " .. name, function()
      local format = assert(formats.get(name))
      for _, attack in ipairs(attacks()) do
        local text = format.write {A = attack, B = "b"}
        if text then assert.are.same({A = attack, B = "b"}, assert(format.read(text))) end
        text = format.write {[attack] = "x", B = "b"}
        if text then
          assert.are.same({[attack] = "x", B = "b"}, assert(format.read(text)), attack)
        end
      end
    end)
  end

  it("add nothing for the programs that read the files", function()
    local list, map = attacks(), {}
    for i, attack in ipairs(list) do
      if core.text.env(attack) then map["K" .. i] = attack end
    end
    assert.are.same(map, readers.sh(assert(formats.get("env").write(map))))
    local lines, expected = {}, {}
    for i, attack in ipairs(list) do
      local ok, quoted = pcall(require "filters.yaml", attack)
      if ok then
        lines[#lines + 1] = ("K%d: %s\n"):format(i, quoted)
        expected["K" .. i] = attack
      end
    end
    assert.are.same(expected, readers.python("yaml", table.concat(lines)))
  end)

  it("run no command when they are quoted for the shell", function()
    local dir = support.tmp()
    local lines = {}
    for _, attack in ipairs(attacks()) do
      local ok, word = pcall(require "filters.shell_quote", attack)
      if ok then lines[#lines + 1] = "true " .. word .. "\n" end
    end
    support.write(dir .. "/run.sh", table.concat(lines))
    assert(os.execute(("cd %s && mkdir empty && cd empty && /bin/sh ../run.sh"):format(dir)))
    assert.are.same({}, core.file.list(dir .. "/empty"))
  end)

  it("are one part of a URL, and one line of base64", function()
    for _, attack in ipairs(attacks()) do
      assert.is_nil(require "filters.url_encode"(attack):find("[^%w._~%%-]"))
      assert.is_nil(require "filters.base64"(attack):find("[^%w+/=]"))
    end
  end)

  it("are never taken for template, however often they are passed on", function()
    for _, attack in ipairs(attacks()) do
      if utf8.len(attack) and not attack:find("[%c\127]") then
        local own = discovered(attack)
        own.service.settings = {a = "${service.other.did}", b = '${"${a}"}', c = {"${b}"}}
        for _, text in ipairs {"${a}", "${b}", "${c[0]}", '${[a] | join}',
          "%{ for x in c }${x}%{ endfor }",
          "${a | default(b)}", '${{k = a}.k}', "${c | first}"} do
          assert.are.equal(attack, template.render(text, own), text)
        end
      end
    end
  end)
end)
