-- What wrk sends, and one line of JSON about what came back.
--
-- usage: wrk … -s load.lua URL -- KIND FILE
-- KIND: read   GET of each path in FILE, one a line, round and round
--       cart   POST of the first line as body to the second line's path, each time as another guest
--       order  the same with an Idempotency-Key of its own each time
-- Requests are made before the clock runs, except those with a key; threads begin at different places.

local GUESTS = 4000 -- a cart takes 10,000 pieces of a line, and an address 300 writes a minute

local counted = 0

function setup(thread)
	thread:set("thread_number", counted)
	counted = counted + 1
end

local function lines_of(path)
	local lines = {}
	for line in io.lines(path) do
		lines[#lines + 1] = line
	end
	return lines
end

local function address(number)
	return string.format("10.%d.%d.%d", thread_number, math.floor(number / 250), number % 250 + 1)
end

local function guest(lines, number)
	return wrk.format("POST", lines[2], {
		["Content-Type"] = "application/json",
		["X-Cart-Token"] = string.format("bench%037dA", thread_number * GUESTS + number),
		["X-Real-IP"] = address(number),
	}, lines[1])
end

local function order(lines, number)
	local key = string.format("bench-%s-%d-%d", lines[3], thread_number, number)
	return wrk.format("POST", lines[2], {
		["Content-Type"] = "application/json",
		["Idempotency-Key"] = key,
	}, lines[1])
end

local requests, next_one, kind, lines = {}, 0, "", {}

function init(args)
	kind, lines = args[1], lines_of(args[2])
	if kind == "read" then
		for number, path in ipairs(lines) do
			requests[number] = wrk.format("GET", path)
		end
	elseif kind == "cart" then
		for number = 1, GUESTS do
			requests[number] = guest(lines, number)
		end
	end
	next_one = thread_number * math.floor(#requests / 2)
end

function request()
	next_one = next_one + 1
	if kind == "order" then
		return order(lines, next_one)
	end
	return requests[(next_one - 1) % #requests + 1]
end

function done(summary, latency)
	local errors = summary.errors
	io.write(string.format(
		'\nRESULT {"requests": %d, "seconds": %f, "p50_us": %f, "p99_us": %f, "refused": %d, "broken": %d}\n',
		summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
		errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
