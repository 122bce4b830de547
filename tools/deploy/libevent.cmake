# libevent 2.1.12 has holes (CVE-2026-63379, -63381 to -63385, -63387, -63388) that 2.1.13 mends, and distributions under the
# old number. Warn where neither is the case, and let the Debian package ask for what it was built with.
set(libevent_package)
execute_process(COMMAND dpkg-query -W "-f=\${Package} \${Version}\\n" "libevent-core-2.1-7*"
	OUTPUT_VARIABLE installed ERROR_QUIET RESULT_VARIABLE result)
if(result EQUAL 0 AND installed MATCHES "^(libevent-core[^ ]*) ([^ \n]+)")
	set(libevent_package "${CMAKE_MATCH_1} (>= ${CMAKE_MATCH_2})")
endif()
if(EVENT_libevent_core_VERSION MATCHES "^([0-9.]+)" AND CMAKE_MATCH_1 VERSION_LESS 2.1.13 AND
	NOT libevent_package MATCHES "[+](deb|ubuntu)|ubuntu[0-9.]+[.][0-9]+\\)$")
	message(WARNING "libevent ${EVENT_libevent_core_VERSION} has known holes: install 2.1.13 or later, or your "
		"distribution's security update")
endif()
