# What makes a mistake in the program harder to use, as far as the compiler, the linker and the C library have it.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)
include(CheckPIESupported)

check_pie_supported(LANGUAGES C)

# Left out: -ftrivial-auto-var-init=zero, as loading prompts takes 17 % more instructions with it; -z nodlopen, which the
# linker passes over where it makes a program.

set(jumps -fcf-protection=full)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
	set(jumps -mbranch-protection=standard)
endif()
foreach(flag -fstack-protector-strong -fstack-clash-protection ${jumps} -fstrict-flex-arrays=3)
	string(MAKE_C_IDENTIFIER "compiler has ${flag}" known)
	check_c_compiler_flag(${flag} ${known})
	if(${known})
		target_compile_options(promptd_build INTERFACE ${flag})
	endif()
endforeach()

foreach(flag relro now noexecstack)
	check_linker_flag(C -Wl,-z,${flag} linker_has_${flag})
	if(linker_has_${flag})
		target_link_options(promptd_build INTERFACE -Wl,-z,${flag})
	endif()
endforeach()

# Checks of lengths need an optimizing compiler; the third level needs a recent one, and a C library that knows.
set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_c_source_compiles("#include <string.h>
	int main(void) { return (int)strlen(\"\"); }" library_has_fortify_3)
unset(CMAKE_REQUIRED_FLAGS)
set(fortify_level 2)
if(library_has_fortify_3)
	set(fortify_level 3)
endif()
target_compile_options(promptd_build INTERFACE
	"$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=${fortify_level}>")
