# dynfs_plugin(KIND NAME SOURCES file... [LIBRARIES lib...] [INCLUDES dir...])
#
# Builds plugins/KIND/NAME into lib/dynfs/KIND/NAME.so.  A plugin sees api/
# and the libraries named here, nothing else: reaching into the core is a link
# error (-z defs), and one symbol leaves it.
function(dynfs_plugin kind name)
	cmake_parse_arguments(P "" "" "SOURCES;LIBRARIES;INCLUDES" ${ARGN})
	set(target plugin_${kind}_${name})
	add_library(${target} MODULE ${P_SOURCES})
	target_include_directories(${target} PRIVATE
		${PROJECT_SOURCE_DIR}/api/include ${P_INCLUDES})
	target_link_libraries(${target} PRIVATE dynfs_flags ${P_LIBRARIES})
	if(NOT DYNFS_SANITIZE)
		target_link_options(${target} PRIVATE -Wl,-z,defs)
	endif()
	target_link_options(${target} PRIVATE
		-Wl,--version-script=${PROJECT_SOURCE_DIR}/api/plugin.map)
	set_target_properties(${target} PROPERTIES
		PREFIX "" OUTPUT_NAME ${name}
		LIBRARY_OUTPUT_DIRECTORY ${DYNFS_PLUGIN_OUTPUT}/${kind}
		LINK_DEPENDS ${PROJECT_SOURCE_DIR}/api/plugin.map)
	install(TARGETS ${target}
		LIBRARY DESTINATION ${DYNFS_PLUGIN_INSTALL}/${kind})
	set_property(GLOBAL APPEND PROPERTY DYNFS_PLUGINS ${kind}/${name})
endfunction()

# dynfs_plugin_skip(KIND NAME WHY): an optional plugin that is not built.
function(dynfs_plugin_skip kind name why)
	message(STATUS "plugin ${kind}/${name}: skipped, ${why}")
endfunction()
