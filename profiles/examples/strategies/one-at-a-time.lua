--- one-at-a-time -- starts one instance, and the next when that one is ready: for machines on which
-- several cold starts at once would be too much.
local turn -- the instance that was let through last

--- Whether it is still on its way.
local function is_starting(ctx, id)
  for _, other in ipairs(ctx.services()) do
    if other.id == id then return other.state == "waiting" or other.state == "starting" end
  end
  return false
end

return {
  retry = 0.2,
  may_start = function(ctx, instance)
    if turn and turn ~= instance.id and is_starting(ctx, turn) then
      return false, ("it is the turn of %s"):format(turn)
    end
    turn = instance.id
    return true
  end,
}
