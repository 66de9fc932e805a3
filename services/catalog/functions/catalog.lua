#!lua name=catalog

-- Stores what a loader read, if its lock is still its own, and lets the lock go.
-- An invalidation deletes the lock together with the entry, so a loader that read
-- the database before the change finds its lock gone and stores nothing.
-- keys: entry, lock. args: the lock's token, value, time to live in milliseconds.
-- Returns 1 where it was stored.
server.register_function('catalog_fill', function(keys, args)
	if server.call('GET', keys[2]) ~= args[1] then
		return 0
	end
	server.call('SET', keys[1], args[2], 'PX', args[3])
	server.call('DEL', keys[2])
	return 1
end)

-- Lets a lock go, if it is still the caller's.
-- keys: lock. args: the lock's token.
server.register_function('catalog_release', function(keys, args)
	if server.call('GET', keys[1]) ~= args[1] then
		return 0
	end
	return server.call('DEL', keys[1])
end)
