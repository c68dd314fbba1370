-- Many tasks, garbage collection at every moment, and everything dropped while it is in use. The same seed does the same;
-- HAWSER_STRESS_SEED is another, HAWSER_STRESS_SCALE makes it smaller or larger.

local hawser = require "hawser"
local core = require "hawser.core"
local t = require "harness"
local errno = hawser.errno

local scale = tonumber(os.getenv "HAWSER_STRESS_SCALE" or 1)
local first_seed = tonumber(os.getenv "HAWSER_STRESS_SEED" or 20260711)
local seed = first_seed
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end
local function times(n) return math.max(1, math.floor(n * scale)) end

if os.getenv "HAWSER_STRESS_GENERATIONAL" and not t.jit then collectgarbage("generational") end

-- A collection every few calls, each so deep.
local calls = 0
local every = 50
local function disturb()
  calls = calls + 1
  if calls % every == 0 then collectgarbage() elseif calls % 7 == 0 then collectgarbage("step", random(20)) end
end

local function disturbed(f)
  return function(...)
    disturb()
    return f(...)
  end
end
local sleep, yield = disturbed(hawser.sleep), disturbed(hawser.yield)

local keypair = { cert_file = t.certificates .. "/server.pem", key_file = t.certificates .. "/server.key" }
local trust = assert(hawser.tls.config { ca_file = t.certificates .. "/ca.pem" })

-- Everything at random. What is made goes into `things`, a few places that are overwritten all the time: tasks, streams,
-- listeners and channels lose their last reference while they are in use.

local things, streams = {}, setmetatable({}, { __mode = "k" })

local function keep(thing)
  things[random(24)] = thing
  if random(8) == 1 then things[random(24)] = nil end
  return thing
end

local function stream()
  for _ = 1, 5 do
    local thing = things[random(24)]
    if type(thing) == "userdata" and tostring(thing):find "^hawser.ios" then return thing end
  end
end
local function channel()
  for _ = 1, 5 do
    local thing = things[random(24)]
    if type(thing) == "userdata" and tostring(thing):find "^hawser.channel" then return thing end
  end
  return keep(hawser.channel(random(3) - 1))
end

-- A group below none, which the end of a round stops.
local detached = {}
local function apart()
  detached[#detached + 1] = hawser.group(true)
  return detached[#detached]
end

local formats = { "l", "L", "a", "n", "h", "b", 0, 7 }

local function connect_pair(secure)
  local door
  if secure then door = hawser.tls.listen("127.0.0.1", 0, keypair) else door = hawser.tcp.listen("127.0.0.1", 0) end
  local address = door:address()
  hawser.spawn(function(door) -- luacheck: ignore
    local line = door:accept()
    if line then
      streams[line] = true
      keep(line)
    end
    if random(4) > 1 then door:close() end
  end, door)
  if random(3) == 1 then keep(door) end
  door = nil -- luacheck: ignore
  disturb()
  local line
  if secure then line = hawser.tls.connecta(address, "localhost", 1, trust) else line = hawser.tcp.connecta(address, 1) end
  if line then
    streams[line] = true
    keep(line)
  end
end

local act
local actions = {
  function() sleep(random(5) / 1000) end,
  function() yield() end,
  function() connect_pair(false) end,
  function() connect_pair(false) end,
  function() if random(4) == 1 then connect_pair(true) end end,
  function() channel():send(random(2) == 1 and (stream() or 1) or function() end) end,
  function() channel():receive() end,
  function() channel():try_send({}) end,
  function() channel():try_receive() end,
  function() if random(4) == 1 then channel():close() end end,
  function() local s = stream() if s then s:read(formats[random(#formats)]) end end,
  function() local s = stream() if s then s:read(formats[random(#formats)], formats[random(#formats)]) end end,
  function() local s = stream() if s then s:write(("text 12\n"):rep(random(3000))) end end,
  function() local s = stream() if s then s:setvbuf(random(2) == 1 and "full" or "line") s:write("kept ", random(9)) end end,
  function() local s = stream() if s then s:flush() end end,
  function() local s = stream() if s and random(4) == 1 then s:shutdown() end end,
  function() local s = stream() if s and random(4) == 1 then s:abort() end end,
  function() local s = stream() if s and random(8) == 1 then hawser.with_timeout(0.01, s.close, s) end end,
  function() local s = stream() if s then s:settimeout(random(20) / 1000) end end,
  function() local s = stream() if s then s:session() s:peer() s:is_idle() s:counters() s:fileno() end end,
  function() local s = stream() if s and random(8) == 1 then hawser.tls.handshake(s, "localhost", { ca_file = t.certificates .. "/ca.pem", timeout = 0.01 }) end end,
  function() keep(hawser.spawn(act, random(6))) end,
  function() keep(hawser.group():spawn(act, random(6))) end,
  function() keep(apart():spawn(function() act(2) error("on purpose") end)) end,
  function() local g = keep(hawser.group()) for _ = 1, random(3) do g:spawn(act, 2) end if random(2) == 1 then g:cancel() end end,
  function() pcall(hawser.scope, function(g) g:spawn(act, 2) act(1) if random(4) == 1 then error("scope") end end) end,
  function() hawser.with_timeout(random(10) / 1000, act, 3) end,
  function() pcall(hawser.wrap(function() act(1) coroutine.yield(1) act(1) end)) end,
  function() local g = hawser.wrap(function() act(1) coroutine.yield(1) end) pcall(g) keep(g) end,
  function() pcall(coroutine.wrap(function() act(1) end)) end,
  function() pcall(table.sort, { 3, 1, 2 }, function(a, b) act(1) return a < b end) end,
  function() hawser.current():cancel() end,
  function()
    local thing = things[random(24)]
    if type(thing) == "userdata" and tostring(thing):find "^hawser.task" then
      local how = random(4)
      if how == 1 then thing:cancel()
      elseif how == 2 then hawser.with_timeout(0.01, function() pcall(thing.join, thing) end)
      elseif how == 3 then pcall(coroutine.resume, thing:thread())
      elseif coroutine.close then pcall(coroutine.close, thing:thread()) end
    end
  end,
  function() things = {} end,
}

function act(n)
  for _ = 1, n do
    disturb()
    if hawser.current():is_stopped() then return end
    pcall(actions[random(#actions)])
  end
end

-- A child of the last test.

local interpreter, script = rawget(_G, "arg")[-1], rawget(_G, "arg")[0]

if rawget(_G, "arg")[1] == "end" then
  local how = rawget(_G, "arg")[2]
  seed = tonumber(rawget(_G, "arg")[3])
  io.stdout:setvbuf("no")
  local function begin()
    for _ = 1, 20 do hawser.spawn(act, 20) end
    for _ = 1, 10 do hawser.spawn(hawser.sleep, 1000) end
    hawser.on_error(function() end)
    hawser.sleep(random(20) / 1000)
  end
  if how == "exit" then
    hawser.run(function()
      begin()
      os.exit(0, true)
    end)
  end
  if how == "main" then
    begin()
    os.exit(0, true)
  end
  if how == "error" then
    begin()
    error("the end")
  end
  begin()
  os.exit(0, true)
end

t.test("sleeping tasks", function()
  local count = times(20000)
  local ended = 0
  hawser.run(function()
    for _ = 1, count do
      hawser.spawn(function()
        hawser.sleep(random(100) / 1000)
        ended = ended + 1
      end)
    end
    hawser.yield()
    t.eq(core.tasks(), count + 1)
  end)
  t.eq(ended, count)
  t.eq(core.tasks(), 0)
end)

t.test("a chain of tasks and channels", function()
  local count = times(20000)
  local last = hawser.run(function()
    local into = hawser.channel(random(2) - 1)
    local from = into
    for _ = 1, count do
      local before, after = from, hawser.channel(random(2) - 1)
      hawser.spawn(function()
        after:send(before:receive() + 1)
        before:close()
      end)
      from = after
    end
    hawser.spawn(into.send, into, 0)
    return (from:receive())
  end)
  t.eq(last, count)
end)

t.test("stopped tasks", function()
  local count = times(20000)
  local stopped = 0
  hawser.run(function()
    local group = hawser.group()
    local never = hawser.channel()
    for i = 1, count do
      group:spawn(function()
        local _, _, number = (i % 2 == 0 and hawser.sleep or never.receive)(i % 2 == 0 and 1000 or never)
        if number == errno.ECANCELED then stopped = stopped + 1 end
      end)
    end
    hawser.yield()
    group:cancel()
    group:join()
  end)
  t.eq(stopped, count)
end)

-- Connections.

local function text_of(n) return ("%d "):rep(random(40)):format((table.unpack or unpack)((function()
  local numbers = {}
  for i = 1, 40 do numbers[i] = n * i % 997 end
  return numbers
end)())) end

local function echo(line)
  while true do
    local text = line:read("L")
    disturb()
    if not text or not line:write(text) then return end
  end
end

local function connections(listen, connect, count)
  local door = assert(listen())
  local server = hawser.spawn(function() return door:serve(echo, { grace = 0, max_connections = count + 1 }) end)
  local clients = hawser.group()
  local done = 0
  for n = 1, count do
    clients:spawn(function()
      local line = assert(connect(door:address()))
      for _ = 1, 3 do
        local text = text_of(n) .. "\n"
        if random(2) == 1 then line:setvbuf("full") else line:setvbuf("no") end
        assert(line:write(text))
        disturb()
        t.eq(line:read("L"), text)
      end
      assert(line:shutdown())
      t.eq(line:read("a"), "")
      line:close()
      done = done + 1
    end)
  end
  assert(clients:join())
  t.eq(done, count)
  server:cancel()
  server:join()
end

t.task("hundreds of connections", function()
  connections(function() return hawser.tcp.listen("127.0.0.1", 0) end, hawser.tcp.connecta, times(300))
end)

t.task("connections over TLS", function()
  connections(function() return hawser.tls.listen("127.0.0.1", 0, keypair) end,
    function(address) return hawser.tls.connecta(address, "localhost", 60, trust) end, times(60))
end)

local function chaos(rounds)
  for _ = 1, rounds do
    hawser.run(function()
      local all = apart()
      for _ = 1, 30 do all:spawn(act, 30) end
      hawser.with_timeout(0.05 + random(50) / 1000, function() hawser.sleep(1) end)
      if random(2) == 1 then things = {} end
      -- Groups may still be made while others end.
      while next(detached) do
        local groups = detached
        detached = {}
        for _, group in ipairs(groups) do group:cancel() end
        for _, group in ipairs(groups) do group:join() end
      end
    end)
    t.eq(core.tasks(), 0)
  end
end

local function nothing_is_left()
  things = {}
  for _ = 1, 3 do collectgarbage() end
  t.eq(next(streams), nil, "a stream")
end

t.test("at random, with incremental collections", function()
  every = 50
  chaos(times(25))
  nothing_is_left()
end)

t.test("at random, with a full collection at each step", function()
  every = 2
  chaos(times(8))
  nothing_is_left()
end)

if not t.jit then
  t.test("at random, with generations", function()
    every = 200
    collectgarbage("generational")
    chaos(times(25))
    nothing_is_left()
    collectgarbage("incremental")
  end)
end

t.test("the state is closed with everything in flight", function()
  for n = 1, times(20) do
    for _, how in ipairs { "exit", "main", "error" } do
      local pipe = io.popen(("%s %s end %s %d 2>&1; echo status $?"):format(interpreter, script, how, first_seed + n * 17))
      local output = pipe:read("*a")
      pipe:close()
      t.ok(output:find(how == "error" and "status 1%s*$" or "status 0%s*$") and not output:find "Sanitizer", output)
    end
  end
end)

t.done()
