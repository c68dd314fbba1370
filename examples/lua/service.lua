-- A conversation of scripted_server: get, set and watch keys of the C++ program, one command a line.
local hawser = require "hawser"

local line <close>, log = ...
line:settimeout(60)
log:send(("%s came"):format(line:remote()))

local commands = {}

function commands.get(key)
  return get(key) or "(nothing)"
end

function commands.set(key, value)
  if value == "" then return "usage: set KEY VALUE" end
  set(key, value)
  log:send(("%s set %s"):format(line:remote(), key))
  return "done"
end

--- Waits until somebody changes the key, for ten seconds at most.
function commands.watch(key)
  local value, _, number = hawser.with_timeout(10, changed, key)
  if number == hawser.errno.ETIMEDOUT then return "(no change)" end
  return value
end

line:write("commands: get KEY, set KEY VALUE, watch KEY, quit\n")
for request in line:lines() do
  local name, key, value = request:match("^(%a+)%s*(%S*)%s*(.*)$")
  if name == "quit" then break end
  local command = commands[name]
  if command and key ~= "" then
    local answer = command(key, value)
    if not answer then break end  -- the server stops
    assert(line:write(answer, "\n"))
  else
    assert(line:write("unknown command\n"))
  end
end
line:close()
log:send("a client left")
