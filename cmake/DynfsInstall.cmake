# What `cmake --install` lays down besides the program and the plugins, which
# their own folders install.  Component "sdk" is what a plugin's author needs
# and can be installed before anything is built.
include(CMakePackageConfigHelpers)

set(DYNFS_SDK_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/DynfsPlugin)
configure_package_config_file(cmake/DynfsPluginConfig.cmake.in
	${CMAKE_BINARY_DIR}/generated/DynfsPluginConfig.cmake
	INSTALL_DESTINATION ${DYNFS_SDK_DIR}
	PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(
	${CMAKE_BINARY_DIR}/generated/DynfsPluginConfigVersion.cmake
	COMPATIBILITY SameMajorVersion)
install(FILES
	${CMAKE_BINARY_DIR}/generated/DynfsPluginConfig.cmake
	${CMAKE_BINARY_DIR}/generated/DynfsPluginConfigVersion.cmake
	cmake/DynfsPlugin.cmake api/plugin.map
	DESTINATION ${DYNFS_SDK_DIR} COMPONENT sdk)

# The prefix is known for sure only while installing (--prefix, DESTDIR).
set(pc_template ${PROJECT_SOURCE_DIR}/cmake/dynfs.pc.in)
set(pc_file ${CMAKE_BINARY_DIR}/generated/dynfs.pc)
install(CODE "
	set(PROJECT_VERSION \"${PROJECT_VERSION}\")
	set(CMAKE_INSTALL_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
	set(DYNFS_PLUGIN_INSTALL \"${DYNFS_PLUGIN_INSTALL}\")
	set(DYNFS_SDK_DIR \"${DYNFS_SDK_DIR}\")
	configure_file(\"${pc_template}\" \"${pc_file}\" @ONLY)"
	COMPONENT sdk)
install(FILES ${pc_file} DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
	COMPONENT sdk)

# Manual pages say by their suffix where they go.
file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.[1-8]
	${PROJECT_SOURCE_DIR}/plugins/*/*/*.[1-8])
foreach(page IN LISTS pages)
	string(REGEX MATCH "[1-8]$" section ${page})
	install(FILES ${page}
		DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

install(FILES packaging/systemd/dynfs@.service
	DESTINATION lib/systemd/system)
install(DIRECTORY config/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
	FILES_MATCHING PATTERN "*.conf")
install(FILES README.md CHANGELOG.md LICENSE
	DESTINATION ${CMAKE_INSTALL_DOCDIR})
