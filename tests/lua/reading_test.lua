-- ios:read() against what Lua's own io library reads from a file of the same bytes, and what only a stream has: limits, "h",
-- "b", ends that are no end.

local hawser = require "hawser"
local t = require "harness"
local errno = hawser.errno

local scale = tonumber(os.getenv "HAWSER_STRESS_SCALE" or 1)
local unpack = table.unpack or unpack
local pack = table.pack or function(...) return { n = select("#", ...), ... } end

-- The same numbers under each Lua.
local seed = 20240711
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function one_piece(text) return { text } end

local function single_bytes(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

local function random_pieces(text)
  local pieces, at = {}, 1
  while at <= #text do
    local size = random(5) == 1 and random(200) or random(7)
    pieces[#pieces + 1] = text:sub(at, at + size - 1)
    at = at + size
  end
  return pieces
end

local door = assert(hawser.tcp.listen("127.0.0.1", 0))

local function connected()
  local far
  local task = hawser.spawn(function() far = assert(door:accept()) end)
  local near = assert(hawser.tcp.connecta(door:address()))
  assert(task:join())
  return near, far
end

-- A stream on which the pieces arrive, and after them the end.
local function fed(pieces)
  local near, far = connected()
  local peer = hawser.spawn(function()
    for _, piece in ipairs(pieces) do
      assert(far:write(piece))
      hawser.yield()
    end
    assert(far:shutdown())
  end)
  return near, function()
    assert(peer:join())
    near:close()
    far:close()
  end
end

local function show(values)
  local out = {}
  for i = 1, values.n do
    out[i] = type(values[i]) == "string" and ("%q"):format(#values[i] > 60 and values[i]:sub(1, 60) .. "..." or values[i]) or tostring(values[i])
  end
  return "(" .. table.concat(out, ", ") .. ")"
end

local function same(got, want, what)
  local equal = got.n == want.n
  for i = 1, want.n do equal = equal and got[i] == want[i] end
  if not equal then error(what .. ": " .. show(got) .. " and not " .. show(want), 2) end
end

-- What a text begins with as a number, and how far it goes.
local function number_at(text)
  local begin = text:match("^[ \t-\r]*()")
  local at = text:match("^[+-]?()", begin)
  local exponent, count = "^[eE][+-]?%d*()", 0
  local digits = "%d"
  if text:find("^0[xX]", at) then at, digits, exponent = at + 2, "%x", "^[pP][+-]?%d*()" end
  local past = text:match("^" .. digits .. "*()", at)
  count, at = past - at, past
  past = text:match("^%." .. digits .. "*()", at)
  if past then count, at = count + past - at - 1, past end
  if count > 0 then at = text:match(exponent, at) or at end
  return tonumber(text:sub(begin, at - 1)), at - 1
end

-- LuaJIT's own "n" takes what strtod takes.
local function read_one(file, text, format)
  if format == "n" and t.jit then
    local at = file:seek()
    local value, size = number_at(text:sub(at + 1))
    file:seek("set", at + size)
    return value
  end
  local value = file:read(format)
  -- A stream's "l" strips CR LF.
  if value and (format == "l" or format == "*l") and text:byte(file:seek()) == 10 then value = value:gsub("\r$", "") end
  return value
end

local function oracle(file, text, formats)
  local values = { n = 0 }
  for _, format in ipairs(formats) do
    values.n = values.n + 1
    values[values.n] = read_one(file, text, format)
    if values[values.n] == nil then break end
  end
  return values
end

local ways = { { "in one piece", one_piece }, { "byte by byte", single_bytes }, { "in random pieces", random_pieces } }

local function each_way(name, text, f)
  for _, way in ipairs(ways) do
    t.task(name .. ", " .. way[1], function()
      local line, finish = fed(way[2](text))
      f(line)
      finish()
    end)
  end
end

local function reads(line, want, ...) same(pack(line:read(...)), want, "read" .. show(pack(...))) end

each_way("lines end in LF or CR LF", "one\r\ntwo\n\nthr\ree\r\n\r\nlast", function(line)
  reads(line, { n = 1, "one" })
  reads(line, { n = 1, "two" }, "l")
  reads(line, { n = 1, "" }, "*l")
  reads(line, { n = 1, "thr\ree" }, "l")
  reads(line, { n = 1, "" }, "l")
  reads(line, { n = 1, "last" }, "l")
  reads(line, { n = 1 }, "l")
  reads(line, { n = 1 })
end)

each_way("lines with their ends", "one\r\ntwo\n\nlast", function(line)
  reads(line, { n = 1, "one\r\n" }, "L")
  reads(line, { n = 1, "two\n" }, "*L")
  reads(line, { n = 1, "\n" }, "L")
  reads(line, { n = 1, "last" }, "L")
  reads(line, { n = 1 }, "L")
end)

each_way("everything, then nothing more", ("all\0"):rep(300), function(line)
  reads(line, { n = 1, ("all\0"):rep(300) }, "a")
  reads(line, { n = 1, "" }, "a")
  reads(line, { n = 1, "" }, "*a")
  reads(line, { n = 1 }, "l")
  reads(line, { n = 1 }, 1)
  reads(line, { n = 1 }, 0)
  reads(line, { n = 1 }, "b")
  reads(line, { n = 1 }, "n")
  reads(line, { n = 1 }, "h")
end)

each_way("numbers of bytes", "0123456789", function(line)
  reads(line, { n = 1, "" }, 0)
  reads(line, { n = 1, "012" }, 3)
  reads(line, { n = 2, "3", "" }, 1, 0)
  reads(line, { n = 1, "456789" }, 100)
  reads(line, { n = 1 }, 0)
  reads(line, { n = 1 }, 100)
end)

each_way("numerals", " 12 -0x1F,0x.8p1 1e3 .5. 7e 0x 99", function(line)
  reads(line, { n = 2, 12, -31 }, "n", "n")
  reads(line, { n = 2, ",", 1 }, 1, "*n")
  reads(line, { n = 2, 1000, 0.5 }, "n", "n")
  reads(line, { n = 1 }, "n")   -- the second point
  reads(line, { n = 1 }, "n")   -- no digits in the exponent
  reads(line, { n = 1 }, "n", "l")
  reads(line, { n = 2, 99 }, "n", "l")
end)

each_way("several formats stop at the first that finds nothing", "a\nbc", function(line)
  reads(line, { n = 3, "a", "bc" }, "l", "l", "l", "a")
end)

each_way("several formats", "GET / HTTP/1.0\r\n42 rest\nand all", function(line)
  reads(line, { n = 5, "GET", " / HTTP/1.0\r\n", 42, " rest", "and all" }, 3, "L", "n", "l", "a")
end)

each_way("a block up to its empty line", "GET / HTTP/1.0\r\nHost: a\r\n\r\nbody", function(line)
  reads(line, { n = 2, "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "body" }, "h", "a")
end)

each_way("blocks of bare LF", "A: b\nC: d\n\n\nE: f\n\r\nrest", function(line)
  reads(line, { n = 1, "A: b\nC: d\n\n" }, "*h")
  reads(line, { n = 1, "\n" }, "h")
  reads(line, { n = 2, "E: f\n\r\n", "rest" }, "h", "l")
end)

each_way("an empty block with CR", "\r\nrest", function(line)
  reads(line, { n = 2, "\r\n", "rest" }, "h", "a")
end)

each_way("a block without its end", "A: b\r\nC", function(line)
  local block, message, number, partial = line:read("h")
  t.eq(block, nil)
  t.ok(message:find "header", message)
  t.eq(number, errno.EPROTO)
  t.eq(partial, "A: b\r\nC")
  reads(line, { n = 1 }, "h")
end)

each_way("lines() as an iterator", "1 a\n2 b\n3 c", function(line)
  local seen = {}
  for number, rest in line:lines("n", "L") do seen[#seen + 1] = number .. "|" .. rest end
  t.eq(table.concat(seen, ";"), "1| a\n;2| b\n;3| c")
end)

each_way("lines() without formats", "a\r\n\nlast", function(line)
  local seen = {}
  for text in line:lines() do seen[#seen + 1] = text end
  t.eq(table.concat(seen, ";"), "a;;last")
end)

local atoms = {
  "\n", "\n", "\r\n", "\r", "word", " ", "12", "-7", "+", "0x1f", "0x", "1e5", "1e", "3.25", ".", ".5", "x", "\t", "a b c",
  "0", t.jit and "\1" or "\0", "00012", "1e+", "e5", "p3", "0x.8p-1", "\v\f", ("long "):rep(40), "\n\n",
}
local wanted = { "l", "L", "n", "a", "*l", "l", "L", "n" }

t.task("as Lua's own files, at random", function()
  for case = 1, math.floor(3000 * scale) do
    local parts = {}
    for i = 1, random(25) - 1 do parts[i] = atoms[random(#atoms)] end
    local text = table.concat(parts)
    local file = assert(io.tmpfile())
    file:write(text)
    file:seek("set")
    local line, finish = fed(ways[random(3)][2](text))
    for step = 1, 40 do
      local formats = {}
      for i = 1, random(4) == 1 and random(4) or 1 do
        formats[i] = random(3) == 1 and random(12) - 1 or wanted[random(#wanted)]
      end
      local got, want = pack(line:read(unpack(formats))), oracle(file, text, formats)
      same(got, want, ("case %d, step %d, read%s of %q"):format(case, step, show({ n = #formats, unpack(formats) }), text))
      if want.n == 1 and (want[1] == nil or want[1] == "") and file:seek() == #text then break end
    end
    file:close()
    finish()
  end
end)

t.task("a numeral has at most 200 characters", function()
  local fits, too_long = ("1"):rep(200), ("1"):rep(201)
  local line, finish = fed { fits .. " " .. too_long .. "\n" }
  reads(line, { n = 1, tonumber(fits) }, "n")
  reads(line, { n = 1 }, "n")
  reads(line, { n = 1, "1" }, "l")
  finish()
end)

t.task("what is no numeral ends the read before the formats after it", function()
  local near, far = connected()
  far:write("word")
  reads(near, { n = 1 }, "n", "l")  -- and does not wait for that line
  far:write("\n")
  reads(near, { n = 1, "word" })
end)

t.task("limits", function()
  local near, far = connected()
  near:setlimits { line = 8, header = 16 }
  far:write("12345678\r\n123456789\n")
  reads(near, { n = 1, "12345678" })
  local line, message, number, partial = near:read("L")
  t.eq(line, nil)
  t.ok(message:find "limit", message)
  t.eq(number, errno.EMSGSIZE)
  t.eq(partial, "123456789\n")
  far:write("no end at all")
  line, message, number, partial = near:read("L")
  t.eq(line, nil)
  t.eq(number, errno.EMSGSIZE)
  t.eq(partial, "no end at all")
  far:write("A: 3456789012\r\n\r\n")
  line, message, number, partial = near:read("h")
  t.eq(number, errno.EMSGSIZE)
  t.eq(partial, "A: 3456789012\r\n\r\n")
  far:write("A: 34567890\r\n\r\n")
  reads(near, { n = 1, "A: 34567890\r\n\r\n" }, "h")
  far:write((" "):rep(9) .. "1\n")
  line, message, number = near:read("n")
  t.eq(line, nil)
  t.eq(number, errno.EMSGSIZE)
  near:setlimits { all = 10 }
  far:write(("x"):rep(11))
  line, message, number, partial = near:read("a")
  t.eq(line, nil)
  t.eq(number, errno.EMSGSIZE)
  t.eq(partial, ("x"):rep(11))
  t.raises("limit", near.setlimits, near, { line = 0 })
  t.raises("limit", near.setlimits, near, { all = -1 })
  t.raises("table", near.setlimits, near)
end)

t.task("the line limit is 64 KiB where nobody sets one", function()
  local near, far = connected()
  far:write(("x"):rep(65536) .. "\n")
  t.eq(#near:read("l"), 65536)
  far:write(("x"):rep(65537))
  local line, _, number, partial = near:read("l")
  t.eq(line, nil)
  t.eq(number, errno.EMSGSIZE)
  t.eq(#partial, 65537)
end)

t.task("b gives what there is", function()
  local near, far = connected()
  far:write("ab")
  local first = near:read("b")
  if first == "a" then first = first .. near:read("b") end
  t.eq(first, "ab")
  far:write("cd\nef")
  t.eq(near:read("l"), "cd")
  t.eq(near:read("b"), "ef")
  far:shutdown()
  reads(near, { n = 1 }, "b")
end)

-- A peer that goes away with bytes unread: the kernel sends a reset.
local function reset(text)
  local near, far = connected()
  near:write(("nobody reads this"):rep(20000))
  far:write(text)
  far:abort()
  return near
end

t.task("a reset connection", function()
  local near = reset "some\nof it"
  reads(near, { n = 1, "some" }, "l")
  local data, message, number, partial = near:read("a")
  t.eq(data, nil)
  t.eq(type(message), "string")
  t.eq(number, errno.ECONNRESET)
  t.eq(partial, "of it")
  data, message, number, partial = near:read("a")
  t.eq(data, nil)
  t.eq(number, errno.ECONNRESET)
  t.eq(partial, "")
  data, message, number = near:read("b")
  t.eq(data, nil)
  t.eq(number, errno.ECONNRESET)
end)

t.task("what a reset cuts off is no line, number or block", function()
  for format, text in pairs { l = "half a line", L = "half a line", n = "12", h = "A: b\n", [20] = "too short" } do
    local data, message, number, partial = reset(text):read(format)
    t.eq(data, nil, format)
    t.eq(number, errno.ECONNRESET, format)
    t.eq(partial, text, format)
  end
end)

-- A TLS peer that goes without a word.
local function cut(text)
  local near, far = t.tls_pair()
  t.ok(near and far)
  far:write(text)
  far:abort()
  return near
end

t.task("a TLS stream that was cut", function()
  local near = cut "some\nof it"
  reads(near, { n = 1, "some" }, "l")
  local data, message, number = near:read("a")
  t.eq(data, "of it")
  t.eq(type(message), "string")
  t.eq(number, errno.EPROTO)
  for _ = 1, 2 do
    data, message, number = near:read("a")
    t.eq(data, "")
    t.eq(type(message), "string")
    t.eq(number, errno.EPROTO)
  end
  data, message, number = near:read("l")
  t.eq(data, nil)
  t.eq(number, errno.EPROTO)
end)

t.task("a line of a TLS stream that was cut", function()
  local data, message, number, partial = cut("half"):read("l")
  t.eq(data, nil)
  t.eq(number, errno.EPROTO)
  t.eq(partial, "half")
end)

t.task("strict: what was cut is no result", function()
  local near = cut "some of it"
  near:setlimits { strict = true }
  local data, message, number, partial = near:read("a")
  t.eq(data, nil)
  t.eq(type(message), "string")
  t.eq(number, errno.EPROTO)
  t.eq(partial, "some of it")
end)

t.task("lines() raises what read would return", function()
  local near = reset "one\ntwo"
  local seen = {}
  t.raises("reset", function()
    for text in near:lines() do seen[#seen + 1] = text end
  end)
  t.eq(table.concat(seen, ";"), "one")
end)

t.task("a time limit loses nothing", function()
  local near, far = connected()
  far:write("half")
  t.eq(near:settimeout(0.01), near)
  local data, message, number = near:read("l")
  t.eq(data, nil)
  t.eq(message, "timed out")
  t.eq(number, errno.ETIMEDOUT)
  far:write(" a line\nrest")
  t.eq(near:read("l"), "half a line")
  local partial
  data, message, number, partial = near:read("a")
  t.eq(data, nil)
  t.eq(number, errno.ETIMEDOUT)
  t.eq(partial, "rest")
  near:settimeout(nil)
  far:shutdown()
  t.eq(near:read("a"), "")
end)

t.task("bad formats raise", function()
  local near, far = connected()
  far:write("line\n")
  for _, bad in ipairs { "x", "", "*", "10", "*q", "\0", -1, 1.5, 0 / 0, 5e9, math.huge, {}, true, print, near } do
    t.raises("bad argument", near.read, near, bad)
    t.raises("bad argument", near.read, near, "l", bad)
  end
  t.raises("bad argument", function() return near:lines("x")() end)
  t.raises("ios", near.read, door, "l")
  t.raises("ios", near.read)
  local many = {}
  for i = 1, 40 do many[i] = 0 end
  t.raises("formats", near.read, near, unpack(many))
  t.eq(near:read("l"), "line")
end)

t.task("as many formats as there may be", function()
  local near, far = connected()
  local formats, expected = {}, {}
  for i = 1, 32 do formats[i], expected[i] = 1, ("%d"):format(i % 10) end
  far:write(table.concat(expected))
  expected.n = 32
  reads(near, expected, unpack(formats))
end)

t.done()
