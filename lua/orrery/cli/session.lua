--- session -- what commands share: the stack they were given, the agent that runs it, how to fail.
local args = require "orrery.cli.args"

local M = {}

M.OK, M.UNHEALTHY, M.USAGE, M.INVALID, M.UNREACHABLE, M.TIMED_OUT = 0, 1, 2, 3, 4, 124

--- Ends the command with this exit code and one sentence.
function M.fail(code, message, ...)
  error({exit = code, message = select("#", ...) > 0 and message:format(...) or message}, 0)
end

--- The STACK word: -f, $ORRERY_STACK, or the current folder.
function M.target(ctx)
  local given = ctx.options.file or os.getenv("ORRERY_STACK")
  return given and given ~= "" and given or "."
end

--- Whether no stack is named, and the current folder has none.
function M.is_without_stack(ctx)
  local found = M.target(ctx) == "." and require("orrery.places").stack_files(".")
  return found and #found == 0 or false
end

local function load_options(ctx, amend)
  local node = ctx.options.node or os.getenv("ORRERY_NODE")
  return {node = node ~= "" and node or nil, set = args.settings(ctx.options.set), amend = amend}
end

--- The stack, or nil and its problems. `amend` is as for stack.load().
function M.try_stack(ctx, amend)
  local stack = require "orrery.stack"
  return stack.load(M.target(ctx), load_options(ctx, amend))
end

--- The same, held also against its graph and its templates.
function M.checked(ctx)
  local stack, problems = M.try_stack(ctx)
  if not stack then return nil, problems end
  problems = require("orrery.view").problems(stack)
  if #problems > 0 then return nil, problems end
  return stack
end

--- Ends the command with every problem listed; nothing has been touched.
function M.refuse(ctx, problems)
  local text = require("orrery.stack").format(problems)
  M.fail(M.INVALID, "the stack %s is invalid:\n%s", M.target(ctx), (text:gsub("%s+$", "")))
end

function M.stack(ctx, amend)
  local stack, problems = M.try_stack(ctx, amend)
  return stack or M.refuse(ctx, problems)
end

--- The plan; a cycle is an invalid stack.
function M.plan(ctx, stack, only)
  local plan, problems = require("orrery.plan").build(stack, {only = only})
  return plan or M.refuse(ctx, problems)
end

--- The service names given, all of which must be in the stack. None given: all names.
function M.services(ctx, stack)
  local suggest = require "orrery.suggest"
  local names = suggest.names(stack.services)
  for _, name in ipairs(ctx.args) do
    if not stack.services[name] then
      M.fail(M.USAGE, "there is no service %q in stack '%s'%s (it has: %s)", name, stack.name,
        suggest.hint(name, names), table.concat(names, ", "))
    end
  end
  return #ctx.args > 0 and ctx.args or names
end

local function shell_word(word)
  return word:match("^[%w_./:=@%%+-]+$") and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

--- The options that name this stack, as they were given.
function M.stack_words(ctx)
  local words = {}
  local target = M.target(ctx)
  if target ~= "." then table.move({"-f", target}, 1, 2, 1, words) end
  if ctx.options.node then table.move({"--node", ctx.options.node}, 1, 2, #words + 1, words) end
  for _, set in ipairs(ctx.options.set or {}) do
    table.move({"--set", set}, 1, 2, #words + 1, words)
  end
  return words
end

--- A command line to paste: this program on this stack, with more words.
function M.paste(ctx, ...)
  local words = {ctx.program}
  local stack = M.stack_words(ctx)
  table.move(stack, 1, #stack, 2, words)
  table.move({...}, 1, select("#", ...), #words + 1, words)
  for i, word in ipairs(words) do words[i] = shell_word(word) end
  return table.concat(words, " ")
end

--- The agent of the stack, or nil if none runs. One that is another user's ends the command: to say
-- that nothing runs would be wrong.
function M.try_client(stack)
  local client, message, code = require("orrery.client").connect(stack)
  if code == "denied" then M.fail(M.UNREACHABLE, "%s", message) end
  return client, message, code
end

function M.socket(stack)
  return stack.dirs.run .. "/api.sock"
end

--- The agent of the stack; without one the command ends and says what to do.
function M.client(ctx, stack)
  local client = M.try_client(stack)
  if client then return client end
  M.fail(M.UNREACHABLE, "no agent is running for stack '%s' (looked at %s); start it with: %s",
    stack.name, M.socket(stack), M.paste(ctx, "up", "-d"))
end

return M
