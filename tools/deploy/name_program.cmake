# After installing: the unit names /usr/bin/promptd; let it name the program where it was installed.
cmake_path(ABSOLUTE_PATH bin_dir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
set(unit $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${unit_dir}/promptd.service)
file(READ ${unit} text)
string(REPLACE /usr/bin/promptd ${bin_dir}/promptd text "${text}")
file(WRITE ${unit} "${text}")
