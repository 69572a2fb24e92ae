--- says -- passes while a page of the instance has a text in it: that something answers with 200 is
-- not that the right thing answers.
return {
  options = { path = "/", text = "" },
  run = function(ctx, instance, options)
    local url = ("http://%s:%d%s"):format(instance.address, instance.port, options.path)
    local answer, message = ctx.http.get(url)
    if not answer then return nil, message end
    if answer.status ~= 200 then return nil, ("%s answered %d"):format(url, answer.status) end
    if answer.body:find(options.text, 1, true) then return true, "says " .. options.text end
    return nil, ("%s does not say %q"):format(url, options.text)
  end,
}
