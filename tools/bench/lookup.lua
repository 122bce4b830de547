-- Ask for the prompts of a directory, any of them, anew each time: wrk --script lookup.lua URL -- COUNT
function init(arguments)
	count = tonumber(arguments[1])
end

function request()
	local number = math.random(0, count - 1)
	return wrk.format("GET", string.format("/beta/litellm_prompt_management?prompt_id=team-%04d/prompt-%06d",
		math.floor(number / 100), number))
end
