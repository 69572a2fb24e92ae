--- unit -- the unit files by which systemd keeps a stack. Pure.
local M = {}

local FIRST = "# Of stack '%s', written by `orrery systemd`.\n"
local SECOND = "# What should differ belongs in a drop-in: systemctl %sedit %s\n"

--- Whether a file is one that we wrote for this stack.
function M.is_ours(text, stack) return text:find(FIRST:format(stack), 1, true) == 1 end

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quoted(text)
  if text:find("^[%w_./:=@,+-]+$") then return text end
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or ("\\x%02x"):format(c:byte())
  end) .. '"'
end

--- One word of systemd: % begins a specifier.
local function word(text) return quoted((text:gsub("%%", "%%%%"))) end

--- A command: $ begins a variable there, too.
local function command(about, ...)
  local words = { about.program }
  table.move(about.words, 1, #about.words, 2, words)
  table.move({ ... }, 1, select("#", ...), #words + 1, words)
  for i, text in ipairs(words) do words[i] = word((text:gsub("%$", "$$"))) end
  return table.concat(words, " ")
end

local function add(lines, key, value) lines[#lines + 1] = key .. "=" .. value end

--- What the files have in common: where they run, and with which variables.
local function add_place(lines, about)
  add(lines, "WorkingDirectory", (about.dir:gsub("%%", "%%%%")))
  for _, pair in ipairs(about.environment) do
    add(lines, "Environment", word(pair[1] .. "=" .. pair[2]))
  end
end

local function file(about, name, lines)
  local first = FIRST:format(about.stack)
  local second = SECOND:format(about.user and "--user " or "", name)
  return { name = name, text = first .. second .. table.concat(lines, "\n") .. "\n" }
end

-- What no service of a deployment needs; more would change what programs may do.
local HARDENING = { "LockPersonality=yes", "ProtectKernelLogs=yes", "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes", "RestrictRealtime=yes" }

function M.agent_name(stack) return ("orrery-%s.service"):format(stack) end

--- The unit that runs the agent. `about`: {stack, program, words (those that name the stack), dir,
-- mounts, environment ({{name, value}}), user (of a user's manager)}.
--
-- systemd signals the agent alone, for it stops the services in order. One that was killed leaves
-- that to its guard, and ExecStopPost waits for it: to kill all at once would hurt a database.
function M.agent(about)
  local lines = { "[Unit]", "Description=Orrery: stack " .. about.stack,
    "Documentation=man:orrery(1)", "StartLimitIntervalSec=10min", "StartLimitBurst=10" }
  if not about.user then
    add(lines, "Wants", "network-online.target")
    add(lines, "After", "network-online.target")
  end
  for _, path in ipairs(about.mounts) do add(lines, "RequiresMountsFor", word(path)) end
  table.move({ "", "[Service]", "Type=notify", "NotifyAccess=main" }, 1, 4, #lines + 1, lines)
  add_place(lines, about)
  add(lines, "EnvironmentFile", "-" .. about.variables:gsub("%%", "%%%%"))
  add(lines, "ExecStart", command(about, "up", "--agent"))
  add(lines, "ExecReload", command(about, "reload"))
  add(lines, "ExecStopPost", "-" .. command(about, "down", "--leftovers"))
  for _, line in ipairs { "Restart=on-failure", "RestartSec=2", "RestartPreventExitStatus=2 3",
    "KillMode=process", "OOMPolicy=continue" } do lines[#lines + 1] = line end
  if not about.user then table.move(HARDENING, 1, #HARDENING, #lines + 1, lines) end
  table.move({ "", "[Install]", "WantedBy=" .. (about.user and "default.target"
    or "multi-user.target") }, 1, 3, #lines + 1, lines)
  return file(about, M.agent_name(about.stack), lines)
end

--- A unit beside it, which stops and starts with it.
local function beside(about, name, description, service)
  local agent = M.agent_name(about.stack)
  local lines = { "[Unit]", "Description=" .. description, "Documentation=man:orrery(1)",
    "PartOf=" .. agent, "After=" .. agent, "", "[Service]" }
  add_place(lines, about)
  table.move(service, 1, #service, #lines + 1, lines)
  table.move({ "", "[Install]", "WantedBy=" .. agent }, 1, 3, #lines + 1, lines)
  return file(about, name, lines)
end

--- Runs the health checks of a dependency on and on: its journal is their log.
function M.monitor(about, service)
  return beside(about, ("atproto-monitor-%s.service"):format(service),
    ("Orrery: health of %s in stack %s"):format(service, about.stack),
    { "ExecStart=" .. command(about, "check", service, "--watch"),
      "SuccessExitStatus=1", "Restart=always", "RestartSec=10" })
end

--- Is active once the dependencies of a service are healthy: something to be ordered after.
function M.deps(about, service, timeout)
  return beside(about, ("atproto-%s-deps.service"):format(service),
    ("Orrery: dependencies of %s in stack %s"):format(service, about.stack),
    { "Type=oneshot", "RemainAfterExit=yes", ("TimeoutStartSec=%d"):format(timeout + 30),
      "ExecStart=" .. command(about, "wait", "--deps", service, "--timeout",
        ("%d"):format(timeout)) })
end

return M
