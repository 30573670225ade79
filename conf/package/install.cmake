# Component development, for programs that run a node inside themselves: the library with its
# headers, a CMake package and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/clickmill)
# As the binary was linked: from archives or with the shared ones.
foreach(name rocksdb snappy lz4 zstd bz2 z maxminddb)
  if(CLICKMILL_STATIC)
    list(APPEND third_names lib${name}.a)
    string(APPEND third_flags " -l:lib${name}.a")
  else()
    list(APPEND third_names ${name})
    string(APPEND third_flags " -l${name}")
  endif()
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/clickmillConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/clickmillConfig.cmake INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/clickmillConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
# Found from where the file stands, so that the prefix may be moved.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/clickmill.pc.in ${CMAKE_CURRENT_BINARY_DIR}/clickmill.pc @ONLY)

install(FILES $<TARGET_FILE:clickmill_core> DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY include/clickmill DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/clickmillConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/clickmillConfigVersion.cmake DESTINATION ${package_dir}
  COMPONENT development)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/clickmill.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)
