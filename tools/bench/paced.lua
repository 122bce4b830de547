-- Let each connection wait before it asks again, so that the server has time to spare.
function delay()
	return 10 -- milliseconds
end
