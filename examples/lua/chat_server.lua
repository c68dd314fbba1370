-- A chat over TLS, a line at a time: usage in the text below.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local hawser = require "hawser"
local command_line = require "command_line"

local usage = [[
usage: chat_server.lua --cert FILE --key FILE [OPTION...]

A chat over TLS. The first line of a client is its name; each further one goes to all others. /who lists the names, /quit
leaves. Try it with: openssl s_client -quiet -connect 127.0.0.1:PORT

  --cert FILE       certificate, with its chain (PEM)
  --key FILE        its private key (PEM)
  --address IP      where to listen (127.0.0.1)
  --port N          and at which port; 0 is any that is free (0)
  --queue N         lines that may wait for a client; one that falls further behind is dropped (64)
  --timeout SECONDS that a client has for its name, and for taking what is sent to it (30)

Ctrl-C stops it in good order, with exit status 0. 1: it cannot listen; 2: a wrong command line.
]]

local options, operands = command_line.read(usage, {
  cert = { needed = true },
  key = { needed = true },
  address = { default = "127.0.0.1" },
  port = { default = 0, least = 0, most = 65535, whole = true },
  queue = { default = 64, least = 1, most = 10000, whole = true },
  timeout = { default = 30, least = 0.001, most = 1e6 },
})
if #operands > 0 then command_line.refuse(usage, "too much: " .. operands[1]) end

local longest_line = 1024

-- By name: {name =, line =, queue =}. The queue holds what its writer has not sent yet.
local members = {}

-- Never waits: who reads too slowly loses the connection, and nobody else is kept waiting.
local function tell(member, text)
  if member.queue:try_send(text) or member.queue:is_closed() then return end
  member.dropped = true
  member.queue:close()
  member.line:abort()
end

local function tell_others(member, text)
  for _, other in pairs(members) do
    if other ~= member then tell(other, text) end
  end
end

local function names()
  local list = {}
  for name in pairs(members) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end

local commands = {
  ["/who"] = function(member) tell(member, "* here: " .. names()) end,
  ["/quit"] = function(member)
    tell(member, "* goodbye")
    return true
  end,
}

-- What a client says, until it leaves.
local function listen_to(member)
  while true do
    local text = member.line:read("l")
    if not text then return member.dropped and "fell behind" or "left" end
    local command = commands[text]
    if command then
      if command(member) then return "left" end
    elseif text:sub(1, 1) == "/" then
      tell(member, "* there are /who and /quit")
    elseif text:find("%S") then
      tell_others(member, ("%s: %s"):format(member.name, (text:gsub("%c", "?"))))
    end
    -- Lines that are here already would be told before any queue is looked at.
    hawser.yield()
  end
end

-- Sends what is in the queue. The end of the queue ends it.
local function write_to(member)
  for text in member.queue.receive, member.queue do
    if not member.line:write(text, "\n") then
      -- It takes nothing any more, which whoever listens to it has to see.
      member.dropped = true
      member.queue:close()
      member.line:abort()
      return
    end
  end
end

local function ask_name(line)
  line:write("* your name?\n")
  while true do
    local name, message = line:read("l")
    if not name then return nil, message end
    name = name:match("^%s*(.-)%s*$")
    if not name:find("^[%w_-]+$") or #name > 20 then
      line:write("* up to 20 letters, digits, _ and -\n")
    elseif members[name] then
      line:write("* that name is taken\n")
    else
      return name
    end
  end
end

local function chat(line)
  line:setlimits { line = longest_line }
  local name = hawser.with_timeout(options.timeout, ask_name, line)
  if not name then return end
  line:settimeout(nil, options.timeout)
  local member = { name = name, line = line, queue = hawser.channel(options.queue) }
  members[name] = member
  local ok, why = pcall(hawser.scope, function(group)
    group:spawn(write_to, member)
    tell(member, "* welcome, " .. name)
    tell_others(member, ("* %s is here"):format(name))
    local how = listen_to(member)
    -- The writer sends what is left, and ends.
    member.queue:close()
    return how
  end)
  members[name] = nil
  tell_others(nil, ("* %s %s"):format(name, ok and why or "left"))
  if not ok then error(why, 0) end
end

local door, message = hawser.tls.listen(options.address, options.port, { cert_file = options.cert, key_file = options.key })
if not door then
  io.stderr:write("chat_server: ", message, "\n")
  os.exit(1, true)
end
io.stdout:write("listening on ", tostring(door:address()), "\n")
io.stdout:flush()

local stopped = command_line.run(function()
  local _, why = door:serve(chat, {
    on_error = function(err, trace, peer) io.stderr:write(("chat_server: %s: %s%s\n"):format(peer, err, trace and "\n" .. trace or "")) end,
  })
  io.stderr:write("chat_server: ", why, "\n")
end)
os.exit(stopped and 0 or 1, true)
