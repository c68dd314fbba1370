-- What tasks of hawser cost by themselves, in Lua.

local hawser = require "hawser"
local support = require "support"

local function nothing() end

local function spawn(count)
  for _ = 1, count / 100 do
    hawser.scope(function(group)
      for _ = 1, 100 do group:spawn(nothing) end
    end)
  end
end

local function yield(count)
  for _ = 1, count do hawser.yield() end
end

local function yield_among_100(count)
  hawser.scope(function(group)
    for _ = 1, 100 do group:spawn(yield, count / 100) end
  end)
end

local function sleep(count)
  for _ = 1, count do hawser.sleep(0) end
end

local function through_channel(count)
  local values = hawser.channel(16)
  hawser.scope(function(group)
    group:spawn(function()
      for i = 1, count do values:send(i) end
      values:close()
    end)
    while values:receive() do end
  end)
end

hawser.run(function()
  support.measure({
    { "spawn and finish", 50000, spawn },
    { "yield, 1 task", 100000, yield },
    { "yield, 100 tasks", 100000, yield_among_100 },
    { "sleep(0)", 50000, sleep },
    { "channel: send and receive", 50000, through_channel },
  }, arg)
end)
