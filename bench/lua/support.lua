-- What the Lua programs have in common: their command lines, and how the servers say that they listen.

local support = {}

--- A module of a Debian package; without it the program ends and says so.
function support.need(name, package_name)
  local found, module = pcall(require, name)
  if found then return module end
  io.stderr:write("no module ", name, " for ", _VERSION, ": Debian's package is ", package_name, "\n")
  os.exit(1)
end

--- The command line of a server: tcp-echo|tls-echo [--cert FILE] [--key FILE] [--port N].
function support.server_options(arguments)
  local options = { mode = arguments[1], port = 0 }
  for i = 2, #arguments, 2 do
    local name, value = arguments[i]:match("^%-%-(%l+)$"), arguments[i + 1]
    if not name or not value then error("what is " .. arguments[i] .. "?", 0) end
    options[name] = value
  end
  options.port = tonumber(options.port)
  options.tls = options.mode == "tls-echo"
  if options.mode ~= "tcp-echo" and not (options.tls and options.cert and options.key) then
    error("usage: tcp-echo|tls-echo --cert FILE --key FILE [--port N]", 0)
  end
  return options
end

--- Tells whoever started this server that it is ready.
function support.announce(port)
  io.write("listening on ", string.format("%d", port), "\n")
  io.flush()
end

-- The table of the programs that measure themselves.

local function option(arguments, name)
  for i, word in ipairs(arguments) do
    if word == name then return arguments[i + 1] or true end
  end
end

--- rows: {{name, count, function(count)}, ...}. Measures each in every round, after one go to warm up, and prints the CPU
--- time of one, in nanoseconds; --json and --rounds N as the C++ programs have them.
function support.measure(rows, arguments)
  local rounds = tonumber(option(arguments, "--rounds")) or 7
  local figures = {}
  for round = 1, rounds do
    for i, row in ipairs(rows) do
      local count, go = row[2], row[3]
      if round == 1 then
        figures[i] = {}
        go(count / 10)
      end
      local before = os.clock()
      go(count)
      figures[i][round] = (os.clock() - before) * 1e9 / count
    end
  end
  local json, lines = option(arguments, "--json"), {}
  for i, row in ipairs(rows) do
    table.sort(figures[i])
    local median = figures[i][math.floor(rounds / 2) + 1]
    lines[i] = string.format(json and '{"name":"%s","ns_median":%.2f}' or "| %s | %.1f |", row[1], median)
  end
  if json then
    print('{"rows":[' .. table.concat(lines, ",") .. "]}")
  else
    print("| ns of CPU each | median |\n|---|---:|\n" .. table.concat(lines, "\n"))
  end
end

return support
