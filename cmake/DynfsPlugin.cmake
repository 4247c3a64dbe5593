# dynfs_plugin(KIND NAME SOURCES file... [LIBRARIES lib...] [INCLUDES dir...])
#
# Builds the plugin KIND/NAME into lib/dynfs/KIND/NAME.so.  A plugin sees the
# API and the libraries named here, nothing else: reaching into the core is a
# link error (-z defs), and one symbol leaves it.
#
# The same file serves the tree and, installed, authors outside of it: who
# includes it says first where things are (DYNFS_PLUGIN_MAP,
# DYNFS_API_INCLUDE, DYNFS_PLUGIN_OUTPUT, DYNFS_PLUGIN_INSTALL) and what
# every file is compiled with (the target dynfs_flags).
function(dynfs_plugin kind name)
	cmake_parse_arguments(P "" "" "SOURCES;LIBRARIES;INCLUDES" ${ARGN})
	set(target plugin_${kind}_${name})
	add_library(${target} MODULE ${P_SOURCES})
	target_include_directories(${target} PRIVATE
		${DYNFS_API_INCLUDE} ${P_INCLUDES})
	target_link_libraries(${target} PRIVATE dynfs_flags ${P_LIBRARIES})
	if(NOT DYNFS_SANITIZE)
		target_link_options(${target} PRIVATE -Wl,-z,defs)
	endif()
	target_link_options(${target} PRIVATE
		-Wl,--version-script=${DYNFS_PLUGIN_MAP})
	set_target_properties(${target} PROPERTIES
		PREFIX "" OUTPUT_NAME ${name}
		C_VISIBILITY_PRESET hidden
		LIBRARY_OUTPUT_DIRECTORY ${DYNFS_PLUGIN_OUTPUT}/${kind}
		LINK_DEPENDS ${DYNFS_PLUGIN_MAP})
	install(TARGETS ${target}
		LIBRARY DESTINATION ${DYNFS_PLUGIN_INSTALL}/${kind})
	set_property(GLOBAL APPEND PROPERTY DYNFS_PLUGINS ${kind}/${name})
endfunction()

# dynfs_plugin_skip(KIND NAME WHY): an optional plugin that is not built.
function(dynfs_plugin_skip kind name why)
	message(STATUS "plugin ${kind}/${name}: skipped, ${why}")
endfunction()
