#!lua name=souk_session
-- What must be one step in Valkey: a session and its place in the account's
-- index, and a one-time code that is compared, counted and used up.

-- souk_session_open session index ; expires_at id token_hash field value ...
-- Returns how many sessions the account has now.
local function open(keys, args)
	local fields = {}
	for i = 4, #args do
		fields[#fields + 1] = args[i]
	end
	server.call('HSET', keys[1], unpack(fields))
	server.call('EXPIREAT', keys[1], args[1])
	server.call('HSET', keys[2], args[2], args[3])
	server.call('EXPIREAT', keys[2], args[1])
	return server.call('HLEN', keys[2])
end

-- souk_session_prolong session index ; seen_at expires_at
-- A message that is old or late moves nothing backwards. Returns 1 where it was prolonged.
local function prolong(keys, args)
	local seen = server.call('HGET', keys[1], 'last_seen')
	if not seen or tonumber(seen) >= tonumber(args[1]) then
		return 0
	end
	server.call('HSET', keys[1], 'last_seen', args[1])
	server.call('EXPIREAT', keys[1], args[2])
	server.call('EXPIREAT', keys[2], args[2], 'GT')
	return 1
end

-- souk_session_close session index ; id
-- Returns 1 where the session was there.
local function close(keys, args)
	server.call('HDEL', keys[2], args[1])
	return server.call('DEL', keys[1])
end

-- souk_session_keep session ; event_id
-- Notes the password change that the session outlives. Never makes a session.
local function keep(keys, args)
	if server.call('EXISTS', keys[1]) == 0 then
		return 0
	end
	server.call('HSET', keys[1], 'kept_by', args[1])
	return 1
end

-- souk_otp_put code ; ttl_s digest tries
-- A new code replaces the one before it.
local function otp_put(keys, args)
	server.call('DEL', keys[1])
	server.call('HSET', keys[1], 'digest', args[2], 'tries', args[3])
	return server.call('EXPIRE', keys[1], args[1])
end

-- souk_otp_take code misses ; digest misses_max misses_ttl_s
-- 1 where the code is right, which uses it up. A wrong one costs a try; and
-- besides the tries of one code, the misses of a day are counted, so that
-- asking for code after code does not buy guess after guess.
local function otp_take(keys, args)
	local misses = tonumber(server.call('GET', keys[2]) or '0')
	local code = server.call('HMGET', keys[1], 'digest', 'tries')
	if not code[1] or misses >= tonumber(args[2]) then
		return 0
	end
	if code[1] == args[1] then
		server.call('DEL', keys[1])
		return 1
	end
	if tonumber(code[2]) <= 1 then
		server.call('DEL', keys[1])
	else
		server.call('HINCRBY', keys[1], 'tries', -1)
	end
	if server.call('INCR', keys[2]) == 1 then
		server.call('EXPIRE', keys[2], args[3])
	end
	return 0
end

server.register_function('souk_session_open', open)
server.register_function('souk_session_prolong', prolong)
server.register_function('souk_session_close', close)
server.register_function('souk_session_keep', keep)
server.register_function('souk_otp_put', otp_put)
server.register_function('souk_otp_take', otp_take)
