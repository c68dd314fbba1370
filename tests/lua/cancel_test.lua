-- Stops and deadlines: each kind of operation ends with nil, "cancelled" or "timed out" and a number, and the task can clean up.

local hawser = require "hawser"
local t = require "harness"
local errno = hawser.errno

local pack = table.pack or function(...) return { n = select("#", ...), ... } end

local function is_cancelled(value, message, number, what)
  t.eq(value, nil, what)
  t.eq(message, "cancelled", what)
  t.eq(number, errno.ECANCELED, what)
end

-- What waits: each gives a function that does, for a task of its own, and whether it needs somebody else.
local waits = {
  sleep = function() return function() return hawser.sleep(100) end end,
  read = function()
    local near, far = t.pair()
    return function() return near:read("l") end, far
  end,
  read_all = function()
    local near, far = t.pair()
    far:write("some")
    return function() return near:read("a") end, far
  end,
  read_tls = function()
    local near, far = t.tls_pair()
    return function() return near:read("l") end, far
  end,
  write = function()
    local near, far = t.pair()
    return function() return near:write(("x"):rep(2 ^ 24)) end, far
  end,
  write_tls = function()
    local near, far = t.tls_pair()
    return function() return near:write(("x"):rep(2 ^ 24)) end, far
  end,
  flush = function()
    local near, far = t.pair()
    near:setvbuf("full", 2 ^ 20)
    return function()
      while true do
        local done, message, number = near:write(("x"):rep(2 ^ 20))
        if not done then return done, message, number end
      end
    end, far
  end,
  accept = function()
    local door = hawser.tcp.listen("127.0.0.1", 0)
    return function() return door:accept() end
  end,
  accept_tls = function()
    local door = hawser.tls.listen("127.0.0.1", 0, { cert_file = t.certificates .. "/server.pem", key_file = t.certificates .. "/server.key" })
    return function() return door:accept() end
  end,
  handshake = function()
    local near, far = t.pair()
    return function() return hawser.tls.handshake(near, "localhost", { insecure_no_verify_certificate = true }) end, far
  end,
  connect_tls = function()
    local door = hawser.tcp.listen("127.0.0.1", 0)
    return function() return hawser.tls.connecta(door:address(), "localhost", { insecure_no_verify_certificate = true }) end, door
  end,
  join = function()
    local other = hawser.group(true):spawn(function() hawser.sleep(0.2) end)
    return function() return other:join() end
  end,
  send = function()
    local channel = hawser.channel()
    return function() return channel:send("value") end
  end,
  send_full = function()
    local channel = hawser.channel(1)
    channel:send("value")
    return function() return channel:send("value") end
  end,
  receive = function()
    local channel = hawser.channel(3)
    return function() return channel:receive() end
  end,
  generator = function()
    return hawser.wrap(function() return hawser.sleep(100) end)
  end,
}

for name, make in pairs(waits) do
  t.task("a stop ends " .. name, function()
    local wait, far = make()
    local first, second
    local task = hawser.spawn(function()
      first = pack(wait())
      second = pack(hawser.sleep(100))
      return "cleaned up"
    end)
    hawser.yield()
    hawser.yield()
    t.eq(task:status(), "waiting")
    t.eq(task:is_stopped(), false)
    task:cancel()
    task:cancel()
    t.eq(task:is_stopped(), true)
    t.eq(select(2, task:join()), "cleaned up")
    is_cancelled(first[1], first[2], first[3], "the operation that waited")
    is_cancelled(second[1], second[2], second[3], "the next one")
    t.ok(far or true)
  end)

  t.task("a time limit ends " .. name, function()
    local wait, far = make()
    local inside
    local value, message, number = hawser.with_timeout(0.005, function()
      inside = pack(wait())
      return inside[1], inside[2], inside[3]
    end)
    t.eq(value, nil)
    t.eq(message, "timed out")
    t.eq(number, errno.ETIMEDOUT)
    t.eq(inside[2], "timed out")
    t.eq(inside[3], errno.ETIMEDOUT)
    t.eq(hawser.sleep(0), true)
    t.ok(far or true)
  end)

  t.task("nothing begins after a stop: " .. name, function()
    local wait, far = make()
    local got
    local task = hawser.spawn(function()
      hawser.sleep(100)
      got = pack(wait())
    end)
    hawser.yield()
    task:cancel()
    task:join()
    is_cancelled(got[1], got[2], got[3])
    t.ok(far or true)
  end)
end

-- 192.0.2.0/24 is for documentation. Where there is no route the failure is at once, and as good.
t.task("a stop ends connect and resolve", function()
  for _, f in ipairs {
    function() return hawser.tcp.connect("192.0.2.1", 9) end,
    function() return hawser.dns.resolve("name.invalid", 80) end,
  } do
    local got
    local task = hawser.spawn(function() got = pack(f()) end)
    hawser.yield()
    task:cancel()
    task:join()
    t.eq(got[1], nil)
    t.eq(type(got[2]), "string")
    t.eq(type(got[3]), "number")
  end
end)

t.task("what was read before a stop is not lost", function()
  local near, far = t.pair()
  far:write("half")
  local task = hawser.spawn(function() return near:read("l") end)
  hawser.sleep(0.001)
  task:cancel()
  t.eq(select(4, task:join()), errno.ECANCELED)
  far:write(" a line\n")
  t.eq(near:read("l"), "half a line")
end)

t.task("a value is received or stays", function()
  for _, capacity in ipairs { 0, 1 } do
    local channel = hawser.channel(capacity)
    local receiver = hawser.spawn(function() return channel:receive() end)
    hawser.yield()
    receiver:cancel()
    local sender = hawser.spawn(function() return channel:send("value") end)
    local _, value = receiver:join()
    t.eq(value or channel:receive(), "value")
    t.eq(select(2, sender:join()), true)
  end
end)

t.task("a task that is stopped before it begins", function()
  local got
  local task = hawser.spawn(function() got = pack(hawser.sleep(100)) end)
  task:cancel()
  t.eq(task:status(), "queued")
  task:join()
  is_cancelled(got[1], got[2], got[3])
end)

t.task("a stop of itself", function()
  local task = hawser.spawn(function()
    hawser.current():cancel()
    return hawser.sleep(100)
  end)
  local _, value, message = task:join()
  t.eq(value, nil)
  t.eq(message, "cancelled")
end)

t.task("a task that has ended can be stopped", function()
  local task = hawser.spawn(function() return "result" end)
  task:join()
  task:cancel()
  t.eq(task:status(), "done")
  t.eq(select(2, task:join()), "result")
end)

t.task("an error that follows from a stop is no failure", function()
  local group = hawser.group(true)
  local task = group:spawn(function() assert(hawser.sleep(100)) end)
  local sibling = group:spawn(function() return hawser.sleep(0.01) end)
  hawser.yield()
  task:cancel()
  is_cancelled(task:join())
  t.eq(task:status(), "cancelled")
  t.eq(select(2, sibling:join()), true)
  t.eq(group:join(), true)
  -- But one that nothing was cut short by is.
  task = hawser.group(true):spawn(function()
    hawser.current():cancel()
    error("own")
  end)
  t.ok(select(2, task:join()):find "own")
  t.eq(task:status(), "failed")
end)

t.task("a stop reaches what a task has begun", function()
  local log = {}
  local task = hawser.group(true):spawn(function()
    hawser.scope(function(group)
      group:spawn(function() log.child = select(3, hawser.sleep(100)) end)
      local inner = hawser.group()
      inner:spawn(function() log.inner = select(3, hawser.sleep(100)) end)
      local apart = hawser.group(true)
      log.apart = apart:spawn(function() return hawser.sleep(0.01) end)
      hawser.with_timeout(100, function() log.own = select(3, hawser.sleep(100)) end)
      inner:join()
    end)
  end)
  hawser.yield()
  hawser.yield()
  task:cancel()
  task:join()
  t.eq(log.own, errno.ECANCELED)
  t.eq(log.child, errno.ECANCELED)
  t.eq(log.inner, errno.ECANCELED)
  t.eq(select(2, log.apart:join()), true)
end)

-- Tasks that do not want to leave.

local function ends(f)
  local group = hawser.group(true)
  local task = group:spawn(f)
  hawser.yield()
  task:cancel()
  local joined, message = group:join()
  t.ok(task:status() == "failed" or task:status() == "cancelled", task:status())
  return joined, message
end

t.task("a task that ignores a stop ends", function()
  local channel = hawser.channel()
  for _, operation in ipairs {
    function() hawser.sleep(0) end,
    function() hawser.yield() end,
    function() channel:receive() end,
    function() channel:send(1) end,
    function() hawser.with_timeout(10, hawser.sleep, 0) end,
    function() hawser.wrap(function() hawser.sleep(0) end)() end,
    function() coroutine.yield() end,
  } do
    local rounds = 0
    ends(function()
      while true do
        operation()
        rounds = rounds + 1
      end
    end)
    t.ok(rounds >= 100 and rounds < 10000, rounds)
  end
end)

t.task("even one that catches errors", function()
  local rounds = 0
  local task = hawser.group(true):spawn(function()
    while rounds < 3000 do
      pcall(hawser.sleep, 1)
      rounds = rounds + 1
    end
  end)
  hawser.yield()
  task:cancel()
  task:join()
  t.ok(task:status() ~= "waiting")
end)

-- Deadlines.

t.task("with_timeout gives what its function gives", function()
  local got = pack(hawser.with_timeout(10, function(...) return ... end, 1, nil, 3, nil))
  t.eq(got.n, 4)
  t.eq(got[1], 1)
  t.eq(got[3], 3)
  got = pack(hawser.with_timeout(10, function()
    hawser.yield()
    return nil, "own", 5
  end))
  t.eq(got[2], "own")
  t.eq(got[3], 5)
  t.eq(hawser.with_timeout(math.huge, hawser.sleep, 0), true)
  t.raises("own error", hawser.with_timeout, 10, function()
    hawser.yield()
    error("own error")
  end)
  local object = {}
  t.eq(select(2, pcall(hawser.with_timeout, 10, error, object)), object)
  t.raises("not negative", hawser.with_timeout, -1, print)
  t.raises("number expected", hawser.with_timeout, nil, print)
end)

t.task("what was not cut short did not time out", function()
  local got = pack(hawser.with_timeout(0.001, function()
    local enough = hawser.now() + 0.005
    while hawser.now() < enough do end
    return "late, but nothing waited"
  end))
  t.eq(got[1], "late, but nothing waited")
end)

t.task("results after a deadline", function()
  local got = pack(hawser.with_timeout(0.001, function()
    hawser.sleep(100)
    return "partial", 2
  end))
  t.eq(got[1], nil)
  t.eq(got[2], "timed out")
  t.eq(got[3], errno.ETIMEDOUT)
  t.eq(got[4], "partial")
  t.eq(got[5], 2)
  got = pack(hawser.with_timeout(0.001, function() error(select(2, hawser.sleep(100))) end))
  t.eq(got[1], nil)
  t.ok(got[2]:find "timed out: .*timed out")
  t.eq(got[3], errno.ETIMEDOUT)
  got = pack(hawser.with_timeout(0, hawser.sleep, 100))
  t.eq(got[3], errno.ETIMEDOUT)
end)

t.task("the inner deadline comes first, then the outer goes on", function()
  local log = {}
  local outer = pack(hawser.with_timeout(10, function()
    log.inner = pack(hawser.with_timeout(0.001, hawser.sleep, 100))
    log.after = hawser.sleep(0)
    return "outer"
  end))
  t.eq(log.inner[3], errno.ETIMEDOUT)
  t.eq(log.after, true)
  t.eq(outer[1], "outer")
end)

t.task("the outer deadline comes first", function()
  local log = {}
  local outer = pack(hawser.with_timeout(0.001, function()
    log.inner = pack(hawser.with_timeout(10, function()
      log.deep = pack(hawser.sleep(100))
      return "inner"
    end))
    log.after = pack(hawser.sleep(100))
    return "outer"
  end))
  t.eq(log.deep[3], errno.ETIMEDOUT)
  t.eq(log.inner[1], "inner")  -- its own time was not over
  t.eq(log.after[3], errno.ETIMEDOUT)
  t.eq(outer[3], errno.ETIMEDOUT)
  t.eq(outer[4], "outer")
  t.eq(hawser.sleep(0), true)
end)

t.task("a stop inside of a deadline is a stop", function()
  local got
  local task = hawser.spawn(function()
    got = pack(hawser.with_timeout(100, function() return hawser.sleep(100) end))
  end)
  hawser.yield()
  task:cancel()
  task:join()
  is_cancelled(got[1], got[2], got[3])
end)

t.task("a deadline ends when an error leaves it", function()
  for _ = 1, 10 do
    pcall(hawser.with_timeout, 0.001, function()
      hawser.with_timeout(0.001, error, "x")
    end)
  end
  t.eq(hawser.sleep(0.01), true)
end)

t.task("a deadline stops what was spawned in a scope under it", function()
  local log = {}
  local got = pack(hawser.with_timeout(0.001, function()
    return hawser.scope(function(group)
      group:spawn(function() log.child = select(3, hawser.sleep(100)) end)
      log.own = select(3, hawser.sleep(100))
      return "scope"
    end)
  end))
  t.eq(log.child, errno.ETIMEDOUT)
  t.eq(log.own, errno.ETIMEDOUT)
  t.eq(got[3], errno.ETIMEDOUT)
  t.eq(got[4], "scope")
end)

t.task("a stream's own limit inside of a longer one, and outside of a shorter one", function()
  local near, far = t.pair()
  near:settimeout(0.001)
  local got = pack(hawser.with_timeout(100, near.read, near, "l"))
  t.eq(got[3], errno.ETIMEDOUT)
  near:settimeout(100)
  got = pack(hawser.with_timeout(0.001, near.read, near, "l"))
  t.eq(got[3], errno.ETIMEDOUT)
  far:write("line\n")
  t.eq(near:read("l"), "line")
end)

t.test("deadlines outside of a task", function()
  t.eq(select(3, hawser.with_timeout(0.001, hawser.sleep, 100)), errno.ETIMEDOUT)
  t.eq(hawser.with_timeout(10, hawser.sleep, 0), true)
  t.raises("x", hawser.with_timeout, 10, error, "x")
  local scoped = hawser.scope(function(group)
    group:spawn(function() hawser.sleep(0) end)
    return hawser.sleep(0)
  end)
  t.eq(scoped, true)
  t.raises("in a child", hawser.scope, function(group)
    group:spawn(function() error("in a child") end)
    hawser.sleep(100)
  end)
  t.eq(hawser.sleep(0), true)
end)

-- LuaJIT cannot read <close>.
if not t.jit then
  t.task("an error of a task closes its variables", function()
    local near, far = t.pair()
    local log = {}
    local task = hawser.group(true):spawn(load [[
      local line, log = ...
      local held <close> = line
      local note <close> = setmetatable({}, { __close = function(_, err) log.err = err end })
      require("hawser").yield()
      error("on purpose", 0)
    ]], near, log)
    t.eq(select(2, task:join()), "on purpose")
    t.eq(log.err, "on purpose")
    t.eq(near:is_open(), false)
    t.eq(far:read("a"), "")
  end)

  t.task("a group in a <close> variable", function()
    local log = {}
    local leave = load [[
      local hawser, how, log = ...
      local group <close> = hawser.group()
      group:spawn(function() log.child = select(3, hawser.sleep(how == "error" and 100 or 0)) or "done" end)
      if how == "child" then group:spawn(function() hawser.yield() error("in the child") end) end
      if how == "error" then hawser.yield() error("on purpose", 0) end
      return "left"
    ]]
    t.eq(leave(hawser, "fine", log), "left")
    t.eq(log.child, "done")
    t.raises("on purpose", leave, hawser, "error", log)
    t.eq(log.child, errno.ECANCELED)
    t.raises("in the child", leave, hawser, "child", log)
  end)

  t.task("clean-up in <close> variables after a stop", function()
    local near, far = t.pair()
    local task = hawser.spawn(load [[
      local line = ...
      local held <close> = line
      return line:read("l")
    ]], near)
    hawser.yield()
    task:cancel()
    t.eq(select(4, task:join()), hawser.errno.ECANCELED)
    t.eq(near:is_open(), false)
    t.eq(near:fileno(), -1)
    t.eq(far:read("a"), "")
  end)
end

t.done()
