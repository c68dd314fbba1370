-- An echo server with hawser.

local hawser = require "hawser"
local support = require "support"

local options = support.server_options(arg)

local function echo(line)
  while true do
    local data = line:read("b")
    if not data then break end
    line:write(data)
  end
end

hawser.run(function()
  local door
  if options.tls then
    door = assert(hawser.tls.listen("*", options.port, { cert_file = options.cert, key_file = options.key }))
  else
    door = assert(hawser.tcp.listen("*", options.port))
  end
  support.announce(door:address().port)
  door:serve(echo)
end)
