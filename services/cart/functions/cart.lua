#!lua name=souk_cart
-- Every change of a cart is one function, so that two requests for one cart, a
-- merge and an order cannot lose each other's lines. All keys are declared.
--
-- A cart is a hash: id, version (one more with each change), currency, and for each
-- line "i:<sku>" = "<quantity>:<position>", where the position is the version that
-- added the line, so that lines show in the order of their adding.
--
-- A change answers {"ok", opened, HGETALL} or {"<why not>"}: see rules.c for the words; one whose
-- Idempotency-Key is known {"replayed", when, HGETALL as it was then}.

local META_FIELDS = 3 -- id, version, currency

-- ---- helpers ----

local function tag_of(cart)
	local named = server.call('HMGET', cart, 'id', 'version')
	if not named[1] then
		return '"0"'
	end
	return '"' .. named[1] .. '.' .. named[2] .. '"'
end

-- Whether If-Match, as the client sent it, forbids a change. A weak tag never matches;
-- * always does, since everyone has a cart, if an empty one.
local function is_stale(cart, if_match)
	if if_match == '' or if_match == '*' then
		return false
	end
	local tag = tag_of(cart)
	for candidate in if_match:gmatch('[^,]+') do
		if candidate:match('^%s*(.-)%s*$') == tag then
			return false
		end
	end
	return true
end

local function parse_line(value)
	local quantity, position = value:match('^(%d+):(%d+)$')
	return tonumber(quantity), tonumber(position)
end

-- Quantity and position of a line; 0 where there is none.
local function line_of(cart, sku)
	local value = server.call('HGET', cart, 'i:' .. sku)
	if not value then
		return 0, 0
	end
	return parse_line(value)
end

local function write_line(cart, sku, quantity, position)
	server.call('HSET', cart, 'i:' .. sku, string.format('%d:%d', quantity, position))
end

local function count_lines(cart)
	return math.max(server.call('HLEN', cart) - META_FIELDS, 0)
end

-- Makes the cart where it is missing; an empty one takes the currency. Returns 1 where it was made.
local function open_cart(cart, id, currency)
	if server.call('EXISTS', cart) == 0 then
		server.call('HSET', cart, 'id', id, 'version', 0, 'currency', currency)
		return 1
	end
	if count_lines(cart) == 0 then
		server.call('HSET', cart, 'currency', currency)
	end
	return 0
end

local function next_version(cart)
	return server.call('HINCRBY', cart, 'version', 1)
end

local function answer(word, opened, cart)
	return { word, opened, server.call('HGETALL', cart) }
end

-- ---- the shopper's changes ----

-- Why the SKU cannot be put into the cart, or nil and its currency.
local function refuse_sku(cart, sku_key, catalog)
	local sku = server.call('HMGET', sku_key, 'active', 'currency')
	if sku[1] ~= '1' then
		if server.call('EXISTS', catalog) == 0 then
			return 'catalog_not_ready'
		end
		return 'unknown_sku'
	end
	local currency = server.call('HGET', cart, 'currency')
	if currency and currency ~= sku[2] and count_lines(cart) > 0 then
		return 'currency_mismatch'
	end
	return nil, sku[2]
end

-- What an Idempotency-Key was answered: the cart's fields as they then were, beside
-- what was asked and when.
local function keep_answer(once, cart, request, at, ttl_s)
	server.call('HSET', once, 'request', request, 'at', at, unpack(server.call('HGETALL', cart)))
	server.call('EXPIRE', once, ttl_s)
end

-- The kept answer, or nil where the key is new.
local function kept_answer(once, request)
	local kept = server.call('HMGET', once, 'request', 'at')
	if not kept[1] then
		return nil
	end
	if kept[1] ~= request then
		return { 'idempotency_key_reused' }
	end
	return { 'replayed', kept[2], server.call('HGETALL', once) }
end

-- souk_cart_put cart sku catalog once ;
--     if_match id ttl_s mode sku quantity lines_max quantity_max request at once_ttl_s
-- mode is "add" or "set". request is what an Idempotency-Key (its key is `once`)
-- stands for; "" where there is none.
local function put(keys, args)
	local cart, sku_key, catalog, once = keys[1], keys[2], keys[3], keys[4]
	local if_match, id, ttl_s, mode, sku = args[1], args[2], args[3], args[4], args[5]
	local wanted, request = tonumber(args[6]), args[9]

	local known = request ~= '' and kept_answer(once, request)
	if known then
		return known
	end
	if is_stale(cart, if_match) then
		return { 'precondition_failed' }
	end
	local refusal, currency = refuse_sku(cart, sku_key, catalog)
	if refusal then
		return { refusal }
	end
	local quantity, position = line_of(cart, sku)
	if quantity == 0 and count_lines(cart) >= tonumber(args[7]) then
		return { 'cart_full' }
	end
	if mode == 'add' then
		wanted = wanted + quantity
	end
	if wanted > tonumber(args[8]) then
		return { 'quantity_too_high' }
	end
	local opened = open_cart(cart, id, currency)
	local version = next_version(cart)
	write_line(cart, sku, wanted, quantity == 0 and version or position)
	server.call('EXPIRE', cart, ttl_s)
	if request ~= '' then
		keep_answer(once, cart, request, args[10], args[11])
	end
	return answer('ok', opened, cart)
end

-- souk_cart_remove cart ; if_match ttl_s sku
-- A line that is not there is as good as removed.
local function remove(keys, args)
	local cart = keys[1]
	if is_stale(cart, args[1]) then
		return { 'precondition_failed' }
	end
	if server.call('HDEL', cart, 'i:' .. args[3]) == 1 then
		next_version(cart)
	end
	server.call('EXPIRE', cart, args[2])
	return answer('ok', 0, cart)
end

-- souk_cart_clear cart ; if_match ttl_s
-- The cart stays, with its id and a new version.
local function clear(keys, args)
	local cart = keys[1]
	if is_stale(cart, args[1]) then
		return { 'precondition_failed' }
	end
	local removed = 0
	for _, field in ipairs(server.call('HKEYS', cart)) do
		if field:sub(1, 2) == 'i:' then
			removed = removed + server.call('HDEL', cart, field)
		end
	end
	if removed > 0 then
		next_version(cart)
	end
	server.call('EXPIRE', cart, args[2])
	return answer('ok', 0, cart)
end

-- ---- what events do to carts, once each ----
--
-- `done` is the inbox of a service without PostgreSQL, and is kept as long as the inboxes are: a day
-- more than the streams keep a message, however it comes to be delivered again.

local function is_first(done, ttl_s)
	return server.call('SET', done, '1', 'NX', 'EX', ttl_s) ~= false
end

-- souk_cart_take_order done cart [cart] ; done_ttl_s sku quantity sku quantity ...
-- Takes from the first cart, and what that lacks from the second: a guest's cart
-- may not be merged yet when the order is heard of.
local function take_order(keys, args)
	if not is_first(keys[1], args[1]) then
		return 0
	end
	local changed = {}
	for i = 2, #args, 2 do
		local sku, left = args[i], tonumber(args[i + 1])
		for k = 2, #keys do
			local quantity, position = line_of(keys[k], sku)
			local taken = math.min(quantity, left)
			if taken > 0 then
				if taken == quantity then
					server.call('HDEL', keys[k], 'i:' .. sku)
				else
					write_line(keys[k], sku, quantity - taken, position)
				end
				left = left - taken
				changed[k] = true
			end
		end
	end
	for k = 2, #keys do
		if changed[k] then
			next_version(keys[k])
		end
	end
	return 1
end

local function lines_in_order(flat)
	local lines = {}
	for i = 1, #flat, 2 do
		if flat[i]:sub(1, 2) == 'i:' then
			local quantity, position = parse_line(flat[i + 1])
			lines[#lines + 1] = { sku = flat[i]:sub(3), quantity = quantity, position = position }
		end
	end
	table.sort(lines, function(a, b)
		if a.position ~= b.position then
			return a.position < b.position
		end
		return a.sku < b.sku
	end)
	return lines
end

-- souk_cart_merge cart guest_cart done ; id ttl_s done_ttl_s lines_max quantity_max
-- Quantities add up to the limit; lines beyond the limit stay behind. The guest's
-- cart is gone afterwards. Answers {merged, id, version}.
local function merge(keys, args)
	local cart, guest = keys[1], keys[2]
	if not is_first(keys[3], args[3]) then
		return { 0, '', 0 }
	end
	local currency = server.call('HGET', guest, 'currency')
	local lines = lines_in_order(server.call('HGETALL', guest))
	server.call('DEL', guest)
	if #lines == 0 then
		return { 0, '', 0 }
	end
	open_cart(cart, args[1], currency)
	local version = next_version(cart)
	for _, line in ipairs(lines) do
		local quantity, position = line_of(cart, line.sku)
		if quantity == 0 then
			position = version
		end
		if quantity > 0 or count_lines(cart) < tonumber(args[4]) then
			quantity = math.min(quantity + line.quantity, tonumber(args[5]))
			write_line(cart, line.sku, quantity, position)
		end
	end
	server.call('EXPIRE', cart, args[2])
	return { 1, server.call('HGET', cart, 'id'), version }
end

-- ---- the read model of products and levels ----

-- souk_cart_put_product product listed_sku... gone_sku... ;
--     seen_version version product_id active ttl_s listed skus title price currency title price ...
-- seen_version is what the caller found at `product` when it worked out which SKUs are
-- gone; 0 where another change came between: the caller looks again.
local function put_product(keys, args)
	local version, product_id, active, ttl_s = args[2], args[3], args[4], args[5]
	local listed = tonumber(args[6])
	if (server.call('HGET', keys[1], 'version') or '') ~= args[1] then
		return 0
	end
	server.call('HSET', keys[1], 'version', version, 'skus', args[7])
	server.call('EXPIRE', keys[1], ttl_s)
	for i = 1, listed do
		local at = 8 + 3 * (i - 1)
		server.call('HSET', keys[1 + i], 'product_id', product_id, 'product_version', version,
			'active', active, 'title', args[at], 'price_minor', args[at + 1],
			'currency', args[at + 2])
		server.call('EXPIRE', keys[1 + i], ttl_s)
	end
	for i = 2 + listed, #keys do
		-- Unless another product took the SKU over.
		if server.call('HGET', keys[i], 'product_id') == product_id then
			server.call('HSET', keys[i], 'active', '0')
		end
	end
	return 1
end

-- souk_cart_put_level sku ; version available ttl_s
local function put_level(keys, args)
	local before = server.call('HGET', keys[1], 'level_version')
	if before and tonumber(before) >= tonumber(args[1]) then
		return 0
	end
	server.call('HSET', keys[1], 'level_version', args[1], 'available', args[2])
	server.call('EXPIRE', keys[1], args[3])
	return 1
end

-- souk_cart_catalog_built catalog run ; run ttl_s
-- Marks the read model as whole, unless `run` was lost meanwhile: then Valkey was
-- emptied during the rebuild, or another replica began one.
local function catalog_built(keys, args)
	if server.call('GET', keys[2]) ~= args[1] then
		return 0
	end
	server.call('DEL', keys[2])
	server.call('SET', keys[1], '1', 'EX', args[2])
	return 1
end

server.register_function('souk_cart_put', put)
server.register_function('souk_cart_remove', remove)
server.register_function('souk_cart_clear', clear)
server.register_function('souk_cart_take_order', take_order)
server.register_function('souk_cart_merge', merge)
server.register_function('souk_cart_put_product', put_product)
server.register_function('souk_cart_put_level', put_level)
server.register_function('souk_cart_catalog_built', catalog_built)
