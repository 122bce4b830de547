# What `cmake --install` puts below a prefix, and the Debian package that CPack makes.
include(GNUInstallDirs)
set(deploy ${CMAKE_CURRENT_LIST_DIR})
set(unit_dir lib/systemd/system)

# Make a file of the package at build time: made(NAME DEPENDENCY COMMAND...).
set(made_dir ${PROJECT_BINARY_DIR}/package)
file(MAKE_DIRECTORY ${made_dir})
set(made_files)
macro(made name dependency)
	add_custom_command(OUTPUT ${made_dir}/${name} VERBATIM
		COMMAND ${ARGN} > ${made_dir}/${name} DEPENDS ${dependency})
	list(APPEND made_files ${made_dir}/${name})
endmacro()

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # or SOURCE_DATE_EPOCH
configure_file(${deploy}/changelog.in ${made_dir}/changelog @ONLY)

made(promptd promptd $<TARGET_FILE:promptd> completion bash)
made(_promptd promptd $<TARGET_FILE:promptd> completion zsh)
made(promptd.8.gz ${PROJECT_BINARY_DIR}/promptd.8
	gzip -9nc ${PROJECT_BINARY_DIR}/promptd.8)
made(promptd-prompts.5.gz ${PROJECT_SOURCE_DIR}/src/promptd-prompts.5
	gzip -9nc ${PROJECT_SOURCE_DIR}/src/promptd-prompts.5)
made(changelog.gz ${PROJECT_SOURCE_DIR}/CHANGELOG.md
	gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
made(changelog.Debian.gz ${made_dir}/changelog gzip -9nc ${made_dir}/changelog)
add_custom_target(package_files ALL DEPENDS ${made_files})

# Below a prefix, /usr/local unless another is given.
install(TARGETS promptd)
install(FILES ${PROJECT_BINARY_DIR}/promptd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES src/promptd-prompts.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${made_dir}/promptd DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${made_dir}/_promptd DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${deploy}/promptd.service ${deploy}/promptd.socket DESTINATION ${unit_dir})
install(CODE "set(unit_dir ${unit_dir})\nset(bin_dir ${CMAKE_INSTALL_BINDIR})")
install(SCRIPT ${deploy}/name_program.cmake)

# The Debian package; its paths are Debian's.
macro(debian_files destination)
	install(FILES ${ARGN} DESTINATION ${destination} COMPONENT debian EXCLUDE_FROM_ALL)
endmacro()
set(doc usr/share/doc/promptd)
install(TARGETS promptd DESTINATION usr/bin COMPONENT debian EXCLUDE_FROM_ALL)
debian_files(usr/share/man/man8 ${made_dir}/promptd.8.gz)
debian_files(usr/share/man/man5 ${made_dir}/promptd-prompts.5.gz)
debian_files(usr/share/bash-completion/completions ${made_dir}/promptd)
debian_files(usr/share/zsh/vendor-completions ${made_dir}/_promptd)
debian_files(usr/${unit_dir} ${deploy}/promptd.service ${deploy}/promptd.socket)
debian_files(etc/default ${deploy}/promptd.default RENAME promptd)
debian_files(${doc} LICENSE RENAME copyright)
debian_files(${doc} README.md)
debian_files(${doc} ${made_dir}/changelog.gz ${made_dir}/changelog.Debian.gz)
install(DIRECTORY prompts.d tools/litellm DESTINATION ${doc}/examples COMPONENT debian EXCLUDE_FROM_ALL
	FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ
	PATTERN __pycache__ EXCLUDE)

set(CPACK_GENERATOR DEB)
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};promptd;debian;/")
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR})
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${deploy}/open_directories.cmake)

set(CPACK_PACKAGE_CONTACT "promptd developers <promptd@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "server of LLM prompts kept as files, for LiteLLM")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"promptd serves the prompts in a directory of YAML and JSON files over HTTP,
by the Generic Prompt Management API of LiteLLM. A prompt that is edited is
served at once: no restart, no database. A file with a mistake keeps its last
good version in service.
.
The same program checks, lists, renders and compares prompt files without a
server.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "${libevent_package}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
	${deploy}/conffiles ${deploy}/postinst ${deploy}/prerm ${deploy}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
